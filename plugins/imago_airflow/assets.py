"""The names of what the DAGs hand to one another: `imago://dev/flight_delays/features`, one for each day table."""

from __future__ import annotations

from typing import Literal

from airflow.sdk import Asset

AssetKind = Literal["features", "outcomes", "training", "champion", "predictions"]


def asset(environment: str, model: str, kind: AssetKind) -> Asset:
    """The asset whose events say "this day of `kind` is published"."""
    return Asset(uri=f"imago://{environment}/{model}/{kind}", group=f"imago-{environment}-{model}")
