"""What happens to a day once its features, its predictions or its outcomes are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from imago_airflow.operators.base import StageOperator, Summary
from imago_airflow.run import Run


class ScoreOperator(StageOperator):
    """Scores the day with the champion of that day, or the one that the form names, and announces the predictions."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.scoring import score

        champion = context["params"].get("champion") or "as-was"
        summary = score(run.environment, run.spec, run.day, run.context, champion=champion)
        self.announce(run, context)
        return summary


class MonitorOperator(StageOperator):
    """Compares the day's profiles with the champion's reference; findings become alerts in the ledger."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.monitoring import monitor

        return monitor(run.environment, run.spec, run.day, run.context)


class RefreshMetricsOperator(StageOperator):
    """Joins the day's predictions with its outcomes. A day without predictions is skipped, with its reason."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.metrics import refresh

        summary = refresh(run.environment, run.spec, run.day, run.context)
        if summary.get("skipped"):
            raise AirflowSkipException(str(summary["skipped"]))
        return summary
