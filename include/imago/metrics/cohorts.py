"""Which cohort may be judged by its labels, and whether it is worse than chance explains. Pure.

The outcomes of a day become known over `label_delay_days`, and not at random: a churn shows on the day it happens, that
nobody churned only at the end. So a metric over the labels that came early is a metric of other rows. A cohort is
mature when its outcomes were published, or found equal, after the delay had passed, and when about as many rows have a
label as is usual.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import NormalDist

LABELLED = "labelled_share"
LEAST_LABELLED = 0.5  # of the usual share of rows with a label
QUARTER = 91  # days


@dataclass(frozen=True)
class Drop:
    """A cohort's metric, what the champion showed on a day of its holdout, and the bound that the cohort fell
    through."""

    value: float
    level: float
    bound: float
    rows: int


def immature(*, told_at: datetime, mature_at: datetime, labelled: float, usual: float | None) -> str | None:
    """Why the cohort may not be judged yet; None when it may. `told_at` is when its outcomes were last published,
    `mature_at` a UTC moment without zone."""
    if is_early(told_at, mature_at):
        seen, due = _utc(told_at), mature_at
        return f"its outcomes were published at {seen:%Y-%m-%d %H:%M} UTC and are complete at {due:%Y-%m-%d %H:%M}"
    if usual is not None and labelled < LEAST_LABELLED * usual:
        return f"{labelled:.0%} of its rows have a label, and {usual:.0%} usually have"
    return None


def is_early(told_at: datetime, mature_at: datetime) -> bool:
    """Whether outcomes were last published before all of them could be known."""
    return _utc(told_at) < mature_at


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def dropped(
    value: float,
    rows: int,
    *,
    level: float,
    spread: float,
    days: int,
    usual_rows: float,
    least: float,
    budget: float,
    lower_is_better: bool,
    level_error: float | None = None,
) -> Drop | None:
    """Whether a cohort is worse than the champion was on its holdout by more than `least`, and by more than single days
    of the holdout differed (`spread` over `days` days of `usual_rows`), for `budget` false alerts a quarter.
    `level_error` is the standard error of `level` where the days do not tell it, since entities come back or labels
    overlap."""
    from scipy.special import stdtrit

    rare = min(budget / QUARTER, 0.5)
    reach = float(stdtrit(max(days - 1, 1), 1 - rare)) if days < 200 else NormalDist().inv_cdf(1 - rare)
    # All of the spread is taken for sampling: small cohorts get the benefit of the doubt, large ones none beyond it.
    unsure = spread**2 / max(days, 1) if level_error is None else level_error**2
    noise = (spread**2 + unsure) ** 0.5 * max(usual_rows / max(rows, 1), 1.0) ** 0.5
    margin = max(reach * noise, least)
    bound = level + margin if lower_is_better else level - margin
    worse = value > bound if lower_is_better else value < bound
    return Drop(value, level, bound, rows) if worse else None
