"""Asking a person. Apart from the other operators: its base costs an import that only deployment needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowSkipException

from imago.texts import as_lines
from imago_airflow.callbacks import run_succeeded
from imago_airflow.operators.base import StageOperator, Summary
from imago_airflow.operators.release import name_of
from imago_airflow.run import open_run


class AskOperator(ApprovalOperator):
    """Asks a person whether the challenger of a verdict may reign, and writes a no, or no answer, into the ledger.

    `verdict` is what JudgeOperator returned. Without an answer in time nothing is promoted: the task and what follows
    it are skipped, and the task says what can still be done. It waits without a slot.
    """

    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, "verdict")
    ui_color = StageOperator.ui_color

    def __init__(self, *, environment: str, model: str, verdict: Mapping[str, Any], **kwargs: Any) -> None:
        # The answer's own limit counts; a shared execution_timeout would silently take its place.
        super().__init__(execution_timeout=None, retries=0, **kwargs)
        self.environment = environment
        self.model = model
        self.verdict = verdict

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        if event.get("error_type") == "timeout":
            summary = self._close(context, "expired", by="nobody")
            raise AirflowSkipException(f"{summary['reason']}. {summary.get('next_step', '')}")
        if event.get("chosen_options") == [self.REJECT]:
            self._close(context, "declined", by=name_of(event))  # first, since what follows ends the task
        return super().execute_complete(context, event)

    def _close(self, context: Any, outcome: Any, *, by: str) -> Summary:
        from imago.jobs.approval import close

        run = open_run(context, environment=self.environment, model=self.model)
        summary = close(run.environment, run.spec, self.verdict["decision_id"], outcome, by=by, context=run.context)
        self.log.info("%s\n%s", self.task_id, as_lines(summary))
        run_succeeded(context)
        return summary
