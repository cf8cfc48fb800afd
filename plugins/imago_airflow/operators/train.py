"""Training: freeze a snapshot, fit every contestant on it, report them all on one holdout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imago_airflow.operators.base import StageOperator, Summary
from imago_airflow.run import Run


class FreezeOperator(StageOperator):
    """Freezes the snapshot of the run's day. Each part of its summary is an XCom: the fits read `snapshot`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.training import freeze

        return freeze(run.environment, run.spec, run.day, run.context)


class FitOperator(StageOperator):
    """Fits one contestant on the snapshot."""

    template_fields: Sequence[str] = ("snapshot", "contestant")

    def __init__(self, *, snapshot: str, contestant: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.contestant = contestant

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.training import fit

        return fit(run.environment, run.spec, self.snapshot, self.contestant, run.context)


class ReportOperator(StageOperator):
    """Logs the comparison of all contestants, and announces that the day's training is there to judge."""

    template_fields: Sequence[str] = ("snapshot", "fitted")

    def __init__(self, *, snapshot: str, fitted: Iterable[Summary], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.fitted = fitted

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.training import report

        summary = report(run.environment, run.spec, run.day, self.snapshot, list(self.fitted), run.context)
        self.announce(run, context)
        return summary
