"""What challengers do where nobody acts on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from imago_airflow.operators.base import StageOperator, Summary
from imago_airflow.run import Run


class ShadowScoreOperator(StageOperator):
    """Scores the day with every version that shadows, and compares each with the champion. Skipped, with its reason,
    where none does."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.shadow_scoring import score

        summary = score(run.environment, run.spec, run.day, run.context)
        if summary.get("skipped"):
            raise AirflowSkipException(str(summary["skipped"]))
        return summary
