"""A backfill by trigger form: the plan, a person's word on it, and then a real Airflow backfill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowSkipException

from imago.texts import LONGEST_NAME, line
from imago_airflow.callbacks import run_succeeded
from imago_airflow.operators.base import StageOperator, Summary
from imago_airflow.operators.release import name_of
from imago_airflow.run import Run

if TYPE_CHECKING:
    from imago.backfill.facts import Wish


class PlanBackfillOperator(StageOperator):
    """Shows what the backfill of the form would do, in the log and as the XCom `markdown`. It changes nothing.

    A backfill that would do nothing, or of which every day would fail, ends the run here.
    """

    _text = ""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.backfill import words
        from imago.jobs import backfilling
        from imago_airflow.logins import log_in

        with log_in(run.environment, "backfill") as airflow:
            plan = backfilling.plan(run.environment, run.spec, wish_of(context["params"]), airflow)
        summary, self._text = {**plan.as_dict(), "markdown": words.markdown(plan)}, words.text(plan)
        if not plan.works:
            self.finish_here(context, summary)
        return summary

    def as_lines(self, summary: Mapping[str, Any]) -> str:
        return self._text


class AskBackfillOperator(ApprovalOperator):
    """Shows the plan and asks whether it may run. Without an answer in time, nothing does. It waits without a slot."""

    ui_color = StageOperator.ui_color
    APPROVE = "Run"
    REJECT = "Cancel"

    def __init__(self, **kwargs: Any) -> None:
        # The answer's own limit counts; a shared execution_timeout would silently take its place.
        super().__init__(execution_timeout=None, retries=0, **kwargs)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        if event.get("error_type") == "timeout":
            run_succeeded(context)
            raise AirflowSkipException(
                "Nobody answered in time, so nothing was run. Trigger the DAG again for a new plan."
            )
        if event.get("chosen_options") == [self.REJECT]:
            self.log.info("%s cancelled it: nothing is run", line(name_of(event) or "somebody", LONGEST_NAME))
            run_succeeded(context)  # first, since what follows ends the task
        return super().execute_complete(context, event)


class StartBackfillOperator(StageOperator):
    """Starts the backfill whose plan a person has seen, unless it would do something else by now.

    `plan` is what PlanBackfillOperator returned, `approval` what AskBackfillOperator did.
    """

    template_fields: Sequence[str] = ("plan", "approval")

    def __init__(self, *, plan: Mapping[str, Any], approval: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.approval = approval

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs import backfilling
        from imago_airflow.logins import log_in

        with log_in(run.environment, "backfill") as airflow:
            started = backfilling.start(
                run.environment, run.spec, wish_of(context["params"]), airflow, approved=self.plan["fingerprint"]
            )
        return {**started, "approved_by": name_of(self.approval)}


def wish_of(params: Mapping[str, Any]) -> Wish:
    """What the trigger form asks for."""
    from imago.backfill.facts import Wish

    return Wish(
        stage=params["stage"],
        first=params["from_day"],
        last=params["to_day"],
        champion=params["champion"],
        reprocess=params["reprocess"],
        max_active_runs=params["max_active_runs"],
    )
