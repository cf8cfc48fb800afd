"""Training: freeze a snapshot, fit every contestant on it, report them all on one holdout."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imago.errors import FitFailed
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
    """Fits one contestant on the snapshot.

    A contestant that is at fault fails its own mapped task, without a retry, and leaves its result all the same: the
    report names it and goes on without it.
    """

    template_fields: Sequence[str] = ("snapshot", "contestant")

    def __init__(self, *, snapshot: str, contestant: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.contestant = contestant

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.training import fit

        summary = fit(run.environment, run.spec, self.snapshot, self.contestant, run.context)
        if summary.get("failed"):
            context["ti"].xcom_push(key="return_value", value=json.loads(json.dumps(summary, default=str)))
            raise FitFailed(summary["failed"], next_step=summary["next_step"], **summary["facts"])
        return summary


class ReportOperator(StageOperator):
    """Logs the comparison of all contestants, and announces that the day's training is there to judge.

    It runs when every fit has ended, whether well or not: a fit without a result counts as failed.
    """

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
