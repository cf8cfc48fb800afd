"""The estimated performance of a day and of the week up to it, and whether it falls through the spec's floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from imago.days import shift
from imago.monitoring.profiles import DECISION, SCORE, Profile
from imago.monitoring.reference import Reference

WEEK = 7
LEAST_DAYS = 4  # of a week, or it is not estimated
CERTAIN = 2.0  # times the estimator's own error that an estimate must lie beyond the floor

ESTIMATES_SCHEMA = pa.schema(
    [
        pa.field("ds", pa.string()),
        pa.field("metric", pa.string()),
        pa.field("days", pa.int64()),
        pa.field("value", pa.float64()),
        pa.field("error", pa.float64()),
        pa.field("rows", pa.int64()),
        pa.field("model_version", pa.string()),
    ]
)


@dataclass(frozen=True)
class Estimate:
    """`metric` over the rows of the last `days` days, as the scores alone tell it. `error` is how far the estimator was
    from the truth on single days of the holdout (root mean square), None where that is not known."""

    metric: str
    days: int
    value: float
    error: float | None
    rows: int


def estimates_of(ds: str, profiles: Mapping[str, Profile], reference: Reference) -> tuple[Estimate, ...]:
    """Of the day, and of the week that ends with it."""
    one = reference.estimator
    if one is None:
        return ()
    found = []
    for days, least in ((1, 1), (WEEK, LEAST_DAYS)):
        parts = [
            Profile({name: profile.columns[name] for name in (SCORE, DECISION) if name in profile.columns})
            for day, profile in profiles.items()
            if shift(ds, 1 - days) <= day <= ds
        ]
        if len(parts) < least:
            continue
        whole = Profile.merge(parts)
        value = one.estimate(whole)
        if value is not None:
            found.append(Estimate(one.metric, days, value, one.error, whole.rows))
    return tuple(found)


def falls_short(estimates: Sequence[Estimate], floor: float, *, lower_is_better: bool) -> Estimate | None:
    """The week's estimate where it lies beyond the floor by more than the estimator's own error explains."""
    for one in estimates:
        if one.days == WEEK and one.error is not None:
            sure = one.value + CERTAIN * one.error * (-1 if lower_is_better else 1)
            if (sure > floor) if lower_is_better else (sure < floor):
                return one
    return None


def estimate_rows(ds: str, estimates: Sequence[Estimate], model_version: str) -> pa.Table:
    """As rows of the table `estimates`."""
    return pa.Table.from_pylist(
        [{"ds": ds, **vars(one), "model_version": model_version} for one in estimates], schema=ESTIMATES_SCHEMA
    )
