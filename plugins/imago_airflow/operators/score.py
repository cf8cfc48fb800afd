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


class DocumentDriftOperator(StageOperator):
    """Lets Great Expectations judge the day's profile too, and writes the page that alerts link to."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.drift_docs import document

        return document(run.environment, run.spec, run.day, run.context)


class RetrainOperator(StageOperator):
    """Starts a training with the last closed day as its partition key, where a drift is confirmed and the guards let
    it; the ledger says why, or why not."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.retraining import consider
        from imago_airflow.triggering import Trainings

        with Trainings.of(run.environment) as trainings:
            return consider(run.environment, run.spec, run.day, run.context, trainings)


class RefreshMetricsOperator(StageOperator):
    """Joins the day's predictions with its outcomes. A day without predictions is skipped, with its reason."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.metrics import refresh

        summary = refresh(run.environment, run.spec, run.day, run.context)
        if summary.get("skipped"):
            raise AirflowSkipException(str(summary["skipped"]))
        return summary
