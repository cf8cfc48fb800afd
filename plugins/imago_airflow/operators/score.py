"""What happens to a day once its features, its predictions or its outcomes are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from imago_airflow.operators.base import StageOperator, Summary
from imago_airflow.run import Run


class ScoreOperator(StageOperator):
    """Scores the day with the champion of that day, or the one that the form names, and announces the predictions."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.scoring import score

        summary = score(run.environment, run.spec, run.day, run.context, champion=_champion(context))
        self.announce(run, context)
        return summary


class PlanScoringOperator(StageOperator):
    """Binds the scoring of the day, and cuts it into slices. Each part of its summary is an XCom."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.scoring_parts import plan

        return plan(run.environment, run.spec, run.day, run.context, champion=_champion(context))


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


class PublishPartsOperator(StageOperator):
    """Publishes all parts in one commit, and announces the predictions."""

    template_fields: Sequence[str] = ("assignment", "parts")

    def __init__(self, *, assignment: Mapping[str, Any], parts: Iterable[Summary], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.assignment = assignment
        self.parts = parts

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.scoring_parts import publish_parts

        summary = publish_parts(run.environment, run.spec, self.assignment, list(self.parts), run.context)
        self.announce(run, context)
        return summary


def _champion(context: Mapping[str, Any]) -> str:
    """The champion that the form names."""
    return str(context["params"].get("champion") or "as-was")


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
