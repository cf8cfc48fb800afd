"""Daily profiles side by side, the windows over them, and every measure of every window.

The same code measures the champion's own past (for the bounds) and the days that are judged, so the two cannot come
apart. A window is a sum of days:

    day       the day alone               against the training
    week      the 7 days up to it         against the training
    month     the 28 days up to it        against the training
    weekdays  the day alone               against the same weekday of the four weeks before
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from imago.days import days_between, parse_day
from imago.monitoring import divergence
from imago.monitoring.profiles import DECISION, SCORE, ColumnProfile, Profile

Window = Literal["day", "week", "month", "weekdays"]
LENGTHS: dict[Window, int] = {"day": 1, "week": 7, "month": 28, "weekdays": 1}
LEAST_DAYS: dict[Window, int] = {"day": 1, "week": 4, "month": 14, "weekdays": 1}  # with rows, or it is not judged
WEEKS = 4  # of the same weekday before
LEAST_WEEKS = 2

ROWS = "rows"  # the column of what is measured of the partition as a whole
SHAPES = ("psi", "jensen_shannon", "wasserstein", "mean_shift", "rate_shift")
RISES = ("missing_rise", "unseen_rise", "volume")  # judged on the day alone, and told on the same day
# How a measure grows with a difference of shares: PSI with its square, the others in proportion.
POWERS = {"psi": 1.0} | dict.fromkeys((*SHAPES[1:], *RISES), 0.5)

Measures = dict[tuple[Window, str], np.ndarray]  # (window, measure) -> a value for each day, NaN where there is none


@dataclass(frozen=True)
class Series:
    """One column over consecutive days; a day without a profile has no rows."""

    trained: ColumnProfile
    counts: np.ndarray  # (days, bins)
    missing: np.ndarray
    unseen: np.ndarray
    rows: np.ndarray
    totals: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def over(self, window: Window) -> Series:
        """Each day replaced by the window that ends with it; without rows where the day itself or too many of the
        others are not there."""
        length = LENGTHS[window]
        if length == 1:
            return self
        known = self.rows > 0
        there = known & (_sums(known.astype(float), length) >= LEAST_DAYS[window])
        whole = [_sums(part, length) * _like(there, part) for part in self._counted]
        # Wide enough is right enough: the ends only close the open bins.
        return self._with(whole, np.minimum.accumulate(self.low), np.maximum.accumulate(self.high))

    def weeks_before(self) -> Series:
        """Each day replaced by the same weekdays of the weeks before; without rows where fewer than two are there."""
        weeks = [7 * week for week in range(1, WEEKS + 1)]
        known = np.sum([_later(self.rows, days) > 0 for days in weeks], axis=0)
        there = known >= LEAST_WEEKS
        whole = [np.sum([_later(part, days) for days in weeks], axis=0) * _like(there, part) for part in self._counted]
        return self._with(whole, self.low, self.high)

    def last(self, days: int | None) -> Series:
        """The last so many days of it, all where None."""
        if days is None:
            return self
        return self._with([part[-days:] for part in self._counted], self.low[-days:], self.high[-days:])

    def _with(self, parts: Sequence[np.ndarray], low: np.ndarray, high: np.ndarray) -> Series:
        counts, missing, unseen, rows, totals = parts
        return Series(self.trained, counts, missing, unseen, rows, totals, low, high)

    @property
    def _counted(self) -> tuple[np.ndarray, ...]:
        return self.counts, self.missing, self.unseen, self.rows, self.totals


def calendar(days: Sequence[str], last: str | None = None) -> tuple[str, ...]:
    """All days from the first to the last, gaps included."""
    return days_between(min(days), last or max(days))


def stack(profiles: Mapping[str, Profile], days: Sequence[str], trained: Profile) -> dict[str, Series]:
    """The profiles of these days, column by column."""
    columns = {}
    for name, frozen in trained.columns.items():
        found = [profiles[ds].columns[name] if ds in profiles else None for ds in days]
        empty = (0,) * len(frozen.counts)
        columns[name] = Series(
            frozen,
            counts=np.array([one.counts if one else empty for one in found], dtype=np.float64),
            missing=np.array([one.missing if one else 0 for one in found], dtype=np.float64),
            unseen=np.array([one.unseen if one else 0 for one in found], dtype=np.float64),
            rows=np.array([one.rows if one else 0 for one in found], dtype=np.float64),
            totals=np.array([one.total if one else 0.0 for one in found]),
            low=np.array([_end(one.low if one else None, frozen.low) for one in found]),
            high=np.array([_end(one.high if one else None, frozen.high) for one in found]),
        )
    return columns


def measured(name: str, series: Series, last: int | None = None, *, calendar: bool = False) -> Measures:
    """Every measure of one column over every window, for each of the `last` days (all where None). Of a column of the
    `calendar` only how much of it is missing: its values are those of the day, and other days had others."""
    trained = series.trained
    found: Measures = {}
    for window in () if calendar else LENGTHS:
        now, base = series.over(window).last(last), base_of(series, window, last)
        if name == DECISION:
            # Of yes and no both move by the same; of several classes the one that moved most speaks.
            shapes = {"rate_shift": np.abs(_rates(now) - _rates(base)).max(axis=-1)}
        else:
            shapes = _shapes(now, base)
        if name == SCORE and trained.deviation:
            shapes["mean_shift"] = np.abs(_means(now) - _means(base)) / trained.deviation
        there = (now.rows > 0) & (base.rows > 0)
        for measure, values in shapes.items():
            found[window, measure] = np.where(there, values, np.nan)
    day = series.last(last)
    rises = {"missing_rise": (day.missing, trained.missing_rate), "unseen_rise": (day.unseen, trained.unseen_rate)}
    if calendar:
        del rises["unseen_rise"]
    for measure, (count, usual) in rises.items():
        rise = np.maximum(count / np.maximum(day.rows, 1) - usual, 0.0)
        found["day", measure] = np.where(day.rows > 0, rise, np.nan)
    return found


def volume(rows: np.ndarray, days: Sequence[str], usual: Sequence[float]) -> np.ndarray:
    """The distance of each day's rows from the usual of its weekday, as a share: the median of the four weeks before,
    or `usual` (Monday .. Sunday, of the training) where fewer than two of them are there."""
    before = np.array([_later(rows, 7 * week) for week in range(1, WEEKS + 1)])
    known = (before > 0).sum(axis=0)
    with np.errstate(all="ignore"):
        lately = np.array([np.median(column[column > 0]) if column.any() else 0.0 for column in before.T])
    weekday = np.array([usual[parse_day(ds).weekday()] for ds in days])
    expected = np.where(known >= LEAST_WEEKS, lately, weekday)
    change = np.abs(rows / np.maximum(expected, 1e-9) - 1.0)
    return np.where((rows > 0) & (expected > 0), change, np.nan)


def weekday_rows(rows: Mapping[str, int]) -> tuple[float, ...]:
    """The median rows of a Monday .. Sunday."""
    counted = np.array(list(rows.values()), dtype=np.float64)
    weekdays = np.array([date.fromisoformat(ds).weekday() for ds in rows])
    overall = float(np.median(counted))
    return tuple(
        float(np.median(counted[weekdays == weekday])) if (weekdays == weekday).any() else overall
        for weekday in range(7)
    )


def groups_of(trained: ColumnProfile, counts: np.ndarray, unseen: np.ndarray | int) -> np.ndarray:
    """Counts as PSI and Jensen-Shannon see them: fine bins merged into groups of equal training mass, unseen as one
    group more."""
    held = np.array(trained.counts)
    if trained.kind == "categorical":
        order = np.argsort(-held, kind="stable")
        counts, held = np.asarray(counts)[..., order], held[order]
    groups = divergence.grouped(counts, divergence.group_starts(held)) if len(held) else counts
    return np.concatenate([groups, np.asarray(unseen, dtype=np.float64)[..., None]], axis=-1)


def points_of(trained: ColumnProfile) -> np.ndarray:
    """The values of a discrete column: each edge lies in the middle of two of them, and the first one is the lowest."""
    points = [trained.low or 0.0]
    for edge in trained.edges:
        points.append(2 * edge - points[-1])
    return np.array(points)


def _shapes(now: Series, base: Series) -> dict[str, np.ndarray]:
    trained = now.trained
    before, after = groups_of(trained, base.counts, base.unseen), groups_of(trained, now.counts, now.unseen)
    found = {"psi": divergence.psi(before, after), "jensen_shannon": divergence.jensen_shannon(before, after)}
    if trained.kind == "categorical" or not trained.deviation:
        return found
    if trained.kind == "discrete":
        moved = divergence.wasserstein_of_points(base.counts, now.counts, points_of(trained))
    else:
        low, high = np.minimum(now.low, base.low), np.maximum(now.high, base.high)
        moved = divergence.wasserstein(base.counts, now.counts, np.array(trained.edges), low, high)
    # It is never less than the distance of the means, which are exact where a value lies far outside of all bins.
    away = np.nan_to_num(np.abs(_means(now) - _means(base)))
    there = now.counts.sum(axis=-1) > 0
    found["wasserstein"] = np.where(there, np.maximum(moved, away) / trained.deviation, 0.0)
    return found


def base_of(series: Series, window: Window, last: int | None) -> Series:
    """What the window is compared with: the training, as often as there are days, or the weekdays before."""
    if window == "weekdays":
        return series.weeks_before().last(last)
    one, days = series.trained, len(series.rows) if last is None else min(last, len(series.rows))

    def repeated(value: float) -> np.ndarray:
        return np.full(days, float(value))

    return Series(
        one,
        counts=np.broadcast_to(np.array(one.counts, dtype=np.float64), (days, len(one.counts))),
        missing=repeated(one.missing),
        unseen=repeated(one.unseen),
        rows=repeated(one.rows),
        totals=repeated(one.total),
        low=repeated(_end(one.low, None)),
        high=repeated(_end(one.high, None)),
    )


def _rates(series: Series) -> np.ndarray:
    return series.counts / np.maximum(series.rows, 1)[:, None]


def _means(series: Series) -> np.ndarray:
    known = series.counts.sum(axis=-1)
    return np.divide(series.totals, known, out=np.zeros_like(series.totals), where=known > 0)


def _sums(values: np.ndarray, length: int) -> np.ndarray:
    """The sum of the `length` entries of the first axis that end with each."""
    padded = np.concatenate([np.zeros((length, *values.shape[1:])), np.cumsum(values, axis=0)])
    return padded[length:] - padded[:-length]


def _like(there: np.ndarray, part: np.ndarray) -> np.ndarray:
    return there[:, None] if part.ndim == 2 else there


def _later(values: np.ndarray, days: int) -> np.ndarray:
    """The value of so many days before, zero where that is before the first."""
    moved = np.zeros_like(values)
    if days < len(values):
        moved[days:] = values[:-days]
    return moved


def _end(value: float | None, otherwise: float | None) -> float:
    return value if value is not None else otherwise if otherwise is not None else 0.0
