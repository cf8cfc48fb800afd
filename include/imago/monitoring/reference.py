"""The champion's reference: its training data as a profile, and how much that data varied from week to week.

The second half is what keeps the channel quiet. Weather drifts from March to July in every healthy year, and two
hundred rows vary more than
two thousand; so for each column and measure the reference remembers how far windows of one day, two days, ... of the
training data were from the
whole. A later window alarms when it is farther away than both the spec's threshold and the champion's own past.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from imago.monitoring import divergence
from imago.monitoring.profiles import DECISION, SCORE, ColumnProfile, Kind, Profile, freeze

MINIMUM_HISTORY = 14  # days of training data below which there is no past to speak of
FORMAT = 1

Limits = Mapping[str, Mapping[str, tuple[float, ...]]]  # column -> measure -> largest value, by window length from 1


@dataclass(frozen=True)
class Reference:
    """`profile`: the training data. `limits`: see the module. `weekday_rows`: median rows of a Monday .. Sunday.

    `identity` is the sha256 of the champion's artifact: two days may be merged only under the same identity.
    """

    identity: str
    profile: Profile
    limits: Limits
    weekday_rows: tuple[float, ...]
    first_day: str
    last_day: str

    def limit(self, column: str, measure: str, window_days: int) -> float:
        """The largest value that the training data itself showed in a window of that many days; 0 if unknown."""
        known = self.limits.get(column, {}).get(measure, ())
        return known[min(window_days, len(known)) - 1] if known else 0.0

    def to_json(self) -> bytes:
        return json.dumps(
            {
                "format": FORMAT,
                "identity": self.identity,
                "first_day": self.first_day,
                "last_day": self.last_day,
                "weekday_rows": list(self.weekday_rows),
                "limits": {
                    column: {measure: list(values) for measure, values in measures.items()}
                    for column, measures in self.limits.items()
                },
                "profile": self.profile.to_dict(),
            },
            sort_keys=True,
        ).encode()

    @classmethod
    def from_json(cls, stored: bytes) -> Reference:
        document = json.loads(stored)
        return cls(
            identity=document["identity"],
            profile=Profile.from_dict(document["profile"]),
            limits={
                column: {measure: tuple(values) for measure, values in measures.items()}
                for column, measures in document["limits"].items()
            },
            weekday_rows=tuple(document["weekday_rows"]),
            first_day=document["first_day"],
            last_day=document["last_day"],
        )


def profiled_columns(features: pa.Table, names: Sequence[str], told: Mapping[str, Any]) -> dict[str, object]:
    """The columns that a profile is made of: the model's features, and `score` and `decision` of what it told of the
    same rows; a regression tells no decision."""
    columns: dict[str, object] = {name: features.column(name) for name in names}
    columns[SCORE] = told["score"]
    if "decision" in told:
        columns[DECISION] = told["decision"].cast(pa.string())
    return columns


def fit_reference(
    *,
    identity: str,
    columns: Mapping[str, object],
    kinds: Mapping[str, Kind],
    decisions: Sequence[str],
    days: Sequence[str],
    window_days: int = 7,
) -> Reference:
    """Makes the reference from training rows: `columns` as of `profiled_columns`, `kinds` those of the features,
    `decisions` all that a decision can be (nothing for a regression), `days` the day key of each row."""
    frozen = dict(freeze(columns, {**kinds, SCORE: "numeric"}).columns)
    if decisions:
        # All that can be decided has a bin, also what was never decided in training.
        frozen[DECISION] = ColumnProfile(
            "categorical", (), tuple(sorted(decisions)), (0,) * len(decisions), 0, 0, 0, 0.0, 0.0
        )
    bins = Profile(frozen)
    keys, day_of_row = np.unique(np.asarray(days, dtype=object).astype(str), return_inverse=True)
    order = np.argsort(day_of_row, kind="stable")
    starts = np.searchsorted(day_of_row[order], np.arange(len(keys)))
    tables = {name: _taken(values, order) for name, values in columns.items()}
    daily = [
        Profile.of(
            {name: values[start:stop] for name, values in tables.items()},  # type: ignore[index]
            bins,
        )
        for start, stop in zip(starts, [*starts[1:], len(order)], strict=True)
    ]
    whole = Profile.merge(daily)
    return Reference(
        identity=identity,
        profile=whole,
        limits=_limits(whole, daily, window_days) if len(daily) >= MINIMUM_HISTORY else {},
        weekday_rows=_weekday_rows(keys.tolist(), [profile.rows for profile in daily]),
        first_day=str(keys[0]),
        last_day=str(keys[-1]),
    )


def _taken(values: object, order: np.ndarray) -> object:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.take(pa.array(order))
    return np.asarray(values)[order]


def _limits(whole: Profile, daily: Sequence[Profile], window_days: int) -> Limits:
    limits: dict[str, dict[str, tuple[float, ...]]] = {}
    for name, column in whole.columns.items():
        parts = [profile.columns[name] for profile in daily]
        found: dict[str, list[float]] = {}
        for length in range(1, min(window_days, len(daily)) + 1):
            for measure, values in _rolling(name, column, parts, length).items():
                found.setdefault(measure, []).append(float(f"{values.max():.6g}"))
        limits[name] = {measure: tuple(values) for measure, values in found.items()}
    return limits


def _rolling(name: str, whole: ColumnProfile, parts: Sequence[ColumnProfile], length: int) -> dict[str, np.ndarray]:
    """Each measure over all windows of `length` days in a row."""
    rows = _windows(np.array([part.rows for part in parts], dtype=np.float64), length)
    missing = _windows(np.array([part.missing for part in parts], dtype=np.float64), length)
    unseen = _windows(np.array([part.unseen for part in parts], dtype=np.float64), length)
    counts = _windows(np.array([part.counts for part in parts], dtype=np.float64), length)
    reference = bins_of(whole, np.array(whole.counts), whole.unseen)
    current = bins_of(whole, counts, unseen)
    values = {
        "psi": divergence.psi(reference, current),
        "jensen_shannon": divergence.jensen_shannon(reference, current),
        "missing_rise": missing / rows - whole.missing_rate,
        "unseen_rise": unseen / rows - whole.unseen_rate,
    }
    if whole.kind == "numeric" and whole.deviation:
        totals = _windows(np.array([part.total for part in parts]), length)
        known = np.maximum(counts.sum(axis=-1), 1)
        values["mean_shift"] = np.abs(totals / known - (whole.mean or 0.0)) / whole.deviation
    if name == DECISION and whole.rows:
        shifts = np.abs(counts / rows[:, None] - np.array(whole.counts) / whole.rows)
        values["rate_shift"] = shifts.max(axis=1)
    return values


def bins_of(frozen: ColumnProfile, counts: np.ndarray, unseen: np.ndarray | int) -> np.ndarray:
    """Counts as PSI and Jensen-Shannon see them: fine bins merged into groups of equal reference mass, unseen as one
    group more.
    """
    if frozen.kind == "categorical":
        order = np.argsort(-np.array(frozen.counts), kind="stable")
        shown = np.asarray(counts)[..., order]
        starts = divergence.group_starts(np.array(frozen.counts)[order])
    else:
        shown, starts = np.asarray(counts), divergence.group_starts(np.array(frozen.counts))
    groups = divergence.grouped(shown, starts) if shown.shape[-1] else shown
    return np.concatenate([groups, np.asarray(unseen, dtype=np.float64)[..., None]], axis=-1)


def _windows(values: np.ndarray, length: int) -> np.ndarray:
    """Sums over every `length` consecutive entries of the first axis."""
    padded = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    return padded[length:] - padded[:-length]


def _weekday_rows(days: Sequence[str], rows: Sequence[int]) -> tuple[float, ...]:
    weekdays = np.array([date.fromisoformat(day).weekday() for day in days])
    counted = np.array(rows, dtype=np.float64)
    overall = float(np.median(counted))
    return tuple(
        float(np.median(counted[weekdays == weekday])) if (weekdays == weekday).any() else overall
        for weekday in range(7)
    )
