"""The champion changes: judged, approved where the environment asks for it, promoted, rolled back, put online."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from imago.days import shift
from imago_airflow.operators.base import StageOperator, Summary
from imago_airflow.run import Run


class JudgeOperator(StageOperator):
    """The fair fight on the training of the run's day. Where no approval is asked for it also promotes.

    A verdict that waits for a person lets the approval behind it start; any other verdict ends the run here. A blocked
    release (ReleaseBlocked) fails the run at once. A backfill decides nothing, so it asks nobody.
    """

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.deployment import judge

        summary = judge(run.environment, run.spec, run.day, run.context)
        if summary["moved"]:
            self.announce(run, context)
        else:
            self.keep_quiet(context)
        if summary["outcome"] != "awaiting" or summary["moved"] or run.context.mode != "live":
            self.finish_here(context, summary)
        return summary


class PromoteOperator(StageOperator):
    """Promotes the challenger that a person approved, unless the champion changed meanwhile.

    `verdict` is what JudgeOperator returned, `approval` what AskOperator did; the approver's name goes into
    the ledger.
    """

    template_fields: Sequence[str] = ("verdict", "approval")

    def __init__(self, *, verdict: Mapping[str, Any], approval: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.verdict = verdict
        self.approval = approval

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.approval import approve

        summary = approve(run.environment, run.spec, self.verdict["decision_id"], name_of(self.approval), run.context)
        if summary["moved"]:
            self.announce(run, context)
        else:
            self.keep_quiet(context)
        return summary


class RollbackOperator(StageOperator):
    """Makes a former champion reign again, from the trigger form, and announces it."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.champions import rollback

        params = context["params"]
        summary = rollback(
            run.environment, run.spec, run.context, to_version=params.get("to_version"), reason=params["reason"]
        )
        # The day of a champion event is that of its training: the eve of the first day that it scores.
        self.announce(run, context, [shift(summary["effective_ds"], -1)])
        return summary


class DeployEndpointOperator(StageOperator):
    """Loads the online store for the reigning champion, proves that the endpoint answers with it, and swaps."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        if run.context.mode != "live":
            raise AirflowSkipException("A backfill never touches the online store; it serves what reigns today.")
        from imago.jobs.serving import deploy

        return deploy(run.environment, run.spec, run.context)


def name_of(answer: Mapping[str, Any]) -> str:
    """Who answered, as the ledger names people."""
    who = answer["responded_by_user"] or {}
    return str(who.get("name") or who.get("id") or "")
