"""The champion's reference: what it was trained on as a profile, and how much its own past varied.

The second half is what keeps the channel quiet. Weather drifts from March to July in every healthy year, and two
hundred rows vary more than two thousand; so for each column, window and measure the reference remembers how far the
days that the champion's training knew (its holdout among them, as days that it had not learned from) were from the
training data, see `noise`. A later window alarms when it is farther away than that past allows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from imago.monitoring import noise, series
from imago.monitoring.bins import freeze, names_as_bins
from imago.monitoring.estimation import Estimator
from imago.monitoring.noise import Noise
from imago.monitoring.profiles import DECISION, SCORE, ColumnProfile, Profile
from imago.monitoring.reach import of_the_day
from imago.monitoring.series import POWERS, RISES, ROWS, Window

FORMAT = 2
RECENT = 7 * series.WEEKS + 14  # days that stand in for what the champion did not score
CONFIRMATIONS = (1, 2, 3)  # how many consecutive windows a spec may ask for

Past = Mapping[str, Mapping[tuple[Window, str], tuple[Noise, ...]]]  # column -> (window, measure) -> by confirmations


@dataclass(frozen=True)
class Reference:
    """What days under one champion are compared with.

    `identity` is the sha256 of the champion's artifact: two days may be merged only under the same identity. `profile`
    is the data that it learned from, first to last day. `past` is how its measures varied; `weekday_rows` the median
    rows of a Monday .. Sunday. `recent` are the last days that its training knew, so that windows and weekdays have
    something before the first day that it scores. `calendar` are the columns whose values their day determines, by the
    spec or by what the training's days hold: they are not compared. `weights` is how much the model needs each feature,
    0 to 1 for the one that it needs most; empty when nobody measured it. `estimator` tells the model's performance from
    its scores.
    """

    identity: str
    profile: Profile
    past: Past
    weekday_rows: tuple[float, ...]
    first_day: str
    last_day: str
    recent: Mapping[str, Profile] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    calendar: tuple[str, ...] = ()
    estimator: Estimator | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of the training that are compared, beside score and decision."""
        return tuple(name for name in self.profile.columns if name not in (SCORE, DECISION))

    def noise(self, column: str, window: Window, measure: str, confirm: int) -> Noise | None:
        """How that measure varied in the past; None where it was never taken."""
        found = self.past.get(column, {}).get((window, measure))
        return found[confirm - 1] if found else None

    def weight(self, column: str) -> float:
        """How much the model needs a column; predictions, and all where nobody measured it, count in full."""
        if not self.weights or column in (SCORE, DECISION, ROWS):
            return 1.0
        return self.weights.get(column, 0.0)

    def to_json(self) -> bytes:
        return json.dumps(
            {
                "format": FORMAT,
                "identity": self.identity,
                "first_day": self.first_day,
                "last_day": self.last_day,
                "weekday_rows": list(self.weekday_rows),
                "weights": dict(self.weights),
                "calendar": list(self.calendar),
                "estimator": self.estimator.to_dict() if self.estimator else None,
                "past": {
                    column: {f"{window} {measure}": [noise.as_list(one) for one in found]
                             for (window, measure), found in measures.items()}
                    for column, measures in self.past.items()
                },
                "profile": self.profile.to_dict(),
                "recent": {ds: _without_bins(profile) for ds, profile in self.recent.items()},
            },
            sort_keys=True, separators=(",", ":"),
        ).encode()  # fmt: skip

    @classmethod
    def from_json(cls, stored: bytes) -> Reference:
        document = json.loads(stored)
        profile = Profile.from_dict(document["profile"])
        estimator = document["estimator"]
        return cls(
            identity=document["identity"],
            profile=profile,
            past={
                column: {
                    tuple(key.split(" ")): tuple(noise.from_list(one) for one in found)
                    for key, found in measures.items()
                }
                for column, measures in document["past"].items()
            },
            weekday_rows=tuple(document["weekday_rows"]),
            first_day=document["first_day"],
            last_day=document["last_day"],
            recent={
                ds: Profile(
                    {name: _with_bins(profile.columns[name], values) for name, values in columns.items()}
                )
                for ds, columns in document["recent"].items()
            },
            weights=document["weights"],
            calendar=tuple(document.get("calendar", ())),
            estimator=Estimator.from_dict(estimator) if estimator else None,
        )  # fmt: skip


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
    kinds: Mapping[str, Literal["numeric", "categorical"]],
    decisions: Sequence[str],
    days: Sequence[str],
    trained_until: str | None = None,
    importance: Mapping[str, float] | None = None,
    calendar: Collection[str] = (),
) -> Reference:
    """Makes the reference from rows that the champion's training knew.

    `columns` as of `profiled_columns`, `kinds` those of the features, `decisions` all that a decision can be (nothing
    for a regression), `days` the day key of each row. Days after `trained_until` are no part of the training profile,
    but of the past. `importance` is what the model loses without a feature, in any unit. `calendar` names columns that
    their day determines; those that have one value on each day are found.
    """
    day_of = np.asarray(days, dtype=object).astype(str)
    learned = day_of <= (trained_until or max(days))
    parts = _by_day(columns, day_of)
    bins = freeze({name: _only(values, learned) for name, values in columns.items()}, {**kinds, SCORE: "numeric"})
    if decisions:
        # All that can be decided has a bin, also what was never decided in training.
        bins = Profile({**bins.columns, DECISION: names_as_bins(decisions)})
    daily = {ds: Profile.of(part, bins) for ds, part in parts.items()}
    learned_days = sorted(set(day_of[learned]))
    whole = Profile.merge(daily[ds] for ds in learned_days)
    rows = {ds: profile.rows for ds, profile in daily.items()}
    top = max((importance or {}).values(), default=0.0)
    fixed = tuple(sorted({*calendar, *(name for name in kinds if of_the_day(name, daily))}))
    return Reference(
        identity=identity,
        profile=whole,
        past=past_of(daily, whole, fixed),
        weekday_rows=series.weekday_rows(rows),
        first_day=str(learned_days[0]),
        last_day=str(learned_days[-1]),
        recent={ds: daily[ds] for ds in sorted(daily)[-RECENT:]},
        calendar=fixed,
        # The root, because importances fall off steeply: a tenth of the first one's still counts a third.
        weights={name: round(max(value / top, 0.0) ** 0.5, 6) for name, value in (importance or {}).items() if top > 0},
    )


def past_of(daily: Mapping[str, Profile], whole: Profile, calendar: Collection[str] = ()) -> Past:
    """How each measure of each column varied over these days."""
    days = series.calendar(sorted(daily))
    stacked = series.stack(daily, days, whole)
    past: dict[str, dict[tuple[Window, str], tuple[Noise, ...]]] = {}
    for name, one in stacked.items():
        measures = series.measured(name, one, calendar=name in calendar)
        past[name] = {}
        for (window, measure), values in measures.items():
            sizes = one.over(window).rows
            size = float(np.median(sizes[sizes > 0])) if (sizes > 0).any() else 0.0
            sampled = _sampled(one, window, measure, measures, size)
            past[name][window, measure] = _noises(measure, values, sampled, size)
    rows = next(iter(stacked.values())).rows
    usual = series.weekday_rows({ds: profile.rows for ds, profile in daily.items()})
    past[ROWS] = {("day", "volume"): _noises("volume", series.volume(rows, days, usual), 0.0, float(np.median(rows)))}
    return past


def _noises(measure: str, values: np.ndarray, sampled: float, rows: float) -> tuple[Noise, ...]:
    # What is told on the same day waits for no second window.
    times = (1, 1, 1) if measure in RISES else CONFIRMATIONS
    return tuple(
        noise.noise_of(values, confirm=confirm, power=POWERS[measure], sampled=sampled, rows=rows) for confirm in times
    )


def _sampled(
    one: series.Series, window: Window, measure: str, measures: series.Measures, rows: float
) -> float:  # fmt: skip
    """The share of a measure's mean that sampling alone explains, when a window has so many rows.

    Of PSI it is known: (groups - 1) (1 / rows + 1 / rows of the base). The other measures of shape vary with it.
    """
    trained = one.trained
    if not rows:
        return 0.0
    if measure in RISES:
        rate = trained.missing_rate if measure == "missing_rise" else trained.unseen_rate
        expected, seen = 0.5 * rate * (1 - rate) / rows, measures[window, measure] ** 2
    else:
        base = rows * series.WEEKS if window == "weekdays" else max(trained.rows, 1)
        if ("day", "psi") in measures:
            groups = int((series.groups_of(trained, np.array(trained.counts), trained.unseen) > 0).sum())
            expected, seen = max(groups - 1, 1) * (1 / rows + 1 / base), measures[window, "psi"]
        else:
            share = np.array(trained.counts) / max(trained.rows, 1)
            expected = float((share * (1 - share)).max()) * (1 / rows + 1 / base)
            seen = measures[window, measure] ** 2
    mean = float(np.nanmean(seen)) if np.isfinite(seen).any() else 0.0
    return min(expected / mean, 1.0) if mean > 0 else 1.0


def _by_day(columns: Mapping[str, object], days: np.ndarray) -> dict[str, dict[str, object]]:
    order = np.argsort(days, kind="stable")
    keys, starts = np.unique(days[order], return_index=True)
    ordered = {name: _taken(values, order) for name, values in columns.items()}
    return {
        str(ds): {name: values[start:stop] for name, values in ordered.items()}
        for ds, start, stop in zip(keys, starts, [*starts[1:], len(days)], strict=True)
    }


def _only(values: object, kept: np.ndarray) -> object:
    return values if kept.all() else _taken(values, np.flatnonzero(kept))


def _taken(values: object, places: np.ndarray) -> Any:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.take(pa.array(places))
    return np.asarray(values)[places]


_COUNTED = ("missing", "unseen", "rows", "total", "squares", "low", "high")


def _without_bins(profile: Profile) -> dict[str, list[Any]]:
    return {
        name: [list(column.counts), *(getattr(column, key) for key in _COUNTED)]
        for name, column in profile.columns.items()
    }


def _with_bins(frozen: ColumnProfile, stored: Sequence[Any]) -> ColumnProfile:
    counts, *rest = stored
    return ColumnProfile(
        frozen.kind, frozen.edges, frozen.categories, tuple(counts), **dict(zip(_COUNTED, rest, strict=True))
    )
