"""What happens to a day once its features, its predictions or its outcomes are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from imago_airflow.operators.base import StageOperator, Summary
from imago_airflow.run import Run


class ScoreOperator(StageOperator):
    """Scores the day with the champion of that day, or the one that is asked for, and announces the predictions.

    Its second outlet are the outcomes: they are announced once more where the day's outcomes are known already and its
    metrics are of other predictions than stand now, so that metric_refresh follows a day that is scored late or again.
    """

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.metrics import is_behind
        from imago.jobs.scoring import score

        summary = score(run.environment, run.spec, run.day, run.context, champion=run.champion)
        if not is_behind(run.environment, run.spec, run.day):
            self.announce_only(context, "predictions")
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
