"""What happens to a day once its features, its predictions or its outcomes are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from imago_airflow.operators.base import StageOperator, Summary
from imago_airflow.run import Run


class PublishingOperator(StageOperator):
    """A task that publishes a day's predictions and announces them.

    Its second outlet are the outcomes: they are announced once more where the day's outcomes are known already and its
    metrics are of other predictions than stand now, so that metric_refresh follows a day that is scored late or again.
    """

    def announce_scored(self, run: Run, context: Mapping[str, Any]) -> None:
        from imago.jobs.metrics import is_behind

        if not is_behind(run.environment, run.spec, run.day):
            self.announce_only(context, "predictions")
        self.announce(run, context)


class ScoreOperator(PublishingOperator):
    """Scores the day with the champion of that day, or the one that is asked for, and announces the predictions."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.scoring import score

        summary = score(run.environment, run.spec, run.day, run.context, champion=run.champion)
        self.announce_scored(run, context)
        return summary


class PlanScoringOperator(StageOperator):
    """Binds the scoring of the day, and cuts it into slices: these are its result, since tasks are mapped over a result
    alone. What was bound stands beside it, as the XCom `assignment`."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.scoring_parts import plan

        return plan(run.environment, run.spec, run.day, run.context, champion=run.champion)

    def execute(self, context: Mapping[str, Any]) -> Any:
        summary = super().execute(context)
        context["ti"].xcom_push(key="assignment", value=summary["assignment"])
        return summary["slices"]


class ScorePartOperator(StageOperator):
    """Scores one slice of the day into the run's staging place."""

    template_fields: Sequence[str] = ("assignment", "piece")

    def __init__(self, *, assignment: Mapping[str, Any], piece: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.assignment = assignment
        self.piece = piece

    @property
    def title(self) -> str:
        """The slice, as the grid shows it."""
        number, start, stop = self.piece
        return f"part {number}, rows {start + 1:,} to {stop:,}"

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.scoring_parts import score_part

        return score_part(run.environment, run.spec, self.assignment, self.piece, run.context)


class PublishPartsOperator(PublishingOperator):
    """Publishes all parts in one commit, and announces the predictions."""

    template_fields: Sequence[str] = ("assignment", "parts")

    def __init__(self, *, assignment: Mapping[str, Any], parts: Iterable[Summary], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.assignment = assignment
        self.parts = parts

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.scoring_parts import publish_parts

        summary = publish_parts(run.environment, run.spec, self.assignment, list(self.parts), run.context)
        self.announce_scored(run, context)
        return summary


class OrderSparkOperator(StageOperator):
    """Binds the scoring of the day, and leaves in the storage what a Spark job is given. Each part of its summary is an
    XCom."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.scoring_spark import plan

        return plan(run.environment, run.spec, run.day, run.context, champion=run.champion)


class PublishSparkOperator(PublishingOperator):
    """Publishes what a Spark job made of its order, and announces the predictions."""

    template_fields: Sequence[str] = ("assignment",)

    def __init__(self, *, assignment: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.assignment = assignment

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.scoring_spark import publish

        summary = publish(run.environment, run.spec, self.assignment, run.context)
        self.announce_scored(run, context)
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
        from imago_airflow.logins import log_in
        from imago_airflow.triggering import Trainings

        with log_in(run.environment, "trainer") as airflow:
            return consider(run.environment, run.spec, run.day, run.context, Trainings(airflow))


class RefreshMetricsOperator(StageOperator):
    """Joins the day's predictions with its outcomes. A day without predictions is skipped, with its reason."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.metrics import refresh

        summary = refresh(run.environment, run.spec, run.day, run.context)
        if summary.get("skipped"):
            raise AirflowSkipException(str(summary["skipped"]))
        return summary
