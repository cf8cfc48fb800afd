"""How well a model does before anybody knows the truth, estimated from the profile of its scores.

- Two classes: a score is brought to the chance that the holdout showed for it (a logistic curve, Platt 1999), and the
  metric is taken over the rows as if each were that much of a case. So what the model itself is unsure of shows up.
- Several classes and numbers: a residual model. The holdout says for each range of scores (or each decision, for F1)
  what the loss was there, and the day's scores say how often each range occurs.

Both see what the scores see: a change of the inputs that moves the scores. They are blind to a world in which the same
inputs come to mean something else, so the estimate is reconciled with the truth once that is known, and its error is
kept. `offset` is the error over the whole holdout, and is taken off; `error` is what was left on its single days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from imago import measures
from imago.measures import decided
from imago.monitoring.profiles import DECISION, SCORE, ColumnProfile, Profile
from imago.monitoring.series import points_of

GROUPS = 20
LEAST_DAYS = 7  # of a holdout, or its single days say nothing of the estimator's error
_CLIP = 1e-6


@dataclass(frozen=True)
class Estimator:
    """What the holdout of one champion says of `metric`. `curve` is the logistic curve of two classes; `starts` are the
    first fine bins of the ranges of scores and `values` what was found in each; `table` the share of each class (in the
    order of `names`) among the rows of each decision. `points` are the scores themselves where there are few."""

    metric: str
    problem: str
    rows: float  # of a usual day of the holdout
    curve: tuple[float, float] | None = None
    starts: tuple[int, ...] = ()
    values: Mapping[str, tuple[float, ...]] | None = None
    names: tuple[str, ...] = ()
    table: tuple[tuple[float, ...], ...] = ()
    points: tuple[float, ...] = ()
    offset: float = 0.0
    error: float | None = None
    level: float | None = None  # the mean metric of the holdout's days
    spread: float | None = None  # and how much it differed between them
    days: int = 0
    level_error: float | None = None  # of the level, where entities come back or labels overlap; see `with_units`

    def estimate(self, day: Profile) -> float | None:
        """The metric of a profile's rows; None where they do not say it."""
        raw = self._raw(day.columns[SCORE], day.columns.get(DECISION))
        return None if raw is None or not np.isfinite(raw) else float(f"{raw + self.offset:.10g}")

    def _raw(self, scores: ColumnProfile, decisions: ColumnProfile | None) -> float | None:
        if not scores.known:
            return None
        counts = np.array(scores.counts, dtype=np.float64)
        if self.curve is not None:
            places = np.array(self.points) if self.points else _middles(scores)
            return _of_chances(self.metric, counts, places, self.curve)
        if self.table:
            return None if decisions is None else self._of_decisions(decisions)
        assert self.values is not None
        weight = np.add.reduceat(counts, np.array(self.starts)) / counts.sum()
        found = {name: float(weight @ np.array(values)) for name, values in self.values.items()}
        if self.metric == "r2":
            spread = found["truth_squared"] - found["truth"] ** 2
            return 1.0 - found["loss"] / spread if spread > 0 else None
        return float(found["loss"] ** 0.5) if self.metric == "rmse" else found["loss"]

    def _of_decisions(self, decisions: ColumnProfile) -> float:
        told = np.array([decisions.counts[decisions.categories.index(name)] for name in self.names], dtype=np.float64)
        table = np.array(self.table)
        there = told @ table
        return float(measures.mean_f1(told * np.diag(table), told, there))

    def with_units(self, *, day_error: float, level_error: float) -> Estimator:
        """As it is where rows of several days share their luck: those days differ by less than a day of other rows
        will. `day_error` is the standard error of one day's metric, `level_error` that of all days' together."""
        if self.spread is None:
            return self
        spread = max(self.spread, day_error)
        return replace(self, spread=float(f"{spread:.10g}"), level_error=float(f"{level_error:.10g}"))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Estimator:
        values = stored["values"]
        return cls(
            **{
                **stored,
                "curve": tuple(stored["curve"]) if stored["curve"] else None,
                "starts": tuple(stored["starts"]),
                "values": {name: tuple(found) for name, found in values.items()} if values else None,
                "names": tuple(stored["names"]),
                "table": tuple(tuple(row) for row in stored["table"]),
                "points": tuple(stored.get("points", ())),
            }
        )


def fit_estimator(
    *,
    metric: str,
    problem: str,
    classes: Sequence[str],
    bins: Profile,
    truth: np.ndarray,
    scores: np.ndarray,
    told: Mapping[str, Any],
    days: Sequence[str],
) -> Estimator:
    """Learns from holdout rows: `truth` and `scores` as in `measures`, `told` what is stored of the scores, `bins` the
    reference's profile."""
    truth = np.asarray(truth, dtype=np.float64)
    day_of = np.asarray(days, dtype=object).astype(str)
    frozen = Profile({name: bins.columns[name] for name in (SCORE, DECISION) if name in bins.columns})
    stored = {SCORE: np.asarray(told["score"], dtype=np.float64)}
    if DECISION in frozen.columns:
        stored[DECISION] = np.asarray(told["decision"], dtype=object)
    one = Estimator(metric, problem, rows=len(day_of) / max(len(set(days)), 1))
    if problem == "binary":
        few = bins.columns[SCORE].kind == "discrete"
        points = tuple(float(f"{point:.8g}") for point in points_of(bins.columns[SCORE])) if few else ()
        one = replace(one, curve=_curve(stored[SCORE], truth), points=points)
    elif metric == "macro_f1":
        one = replace(one, names=tuple(classes), table=_table(decided(scores), truth, len(classes)))
    else:
        starts, values = _by_score(metric, frozen.columns[SCORE], stored[SCORE], truth, scores)
        one = replace(one, starts=starts, values=values)

    def part(kept: np.ndarray) -> tuple[float | None, float]:
        mine = {name: values[kept] if name == SCORE else _text(values[kept]) for name, values in stored.items()}
        return one.estimate(Profile.of(mine, frozen)), measures.metric(metric, truth[kept], scores[kept])

    estimated, true = part(np.ones(len(day_of), dtype=bool))
    if estimated is not None and np.isfinite(true):
        one = replace(one, offset=float(f"{true - estimated:.10g}"))
    pairs = [part(day_of == ds) for ds in sorted(set(days))]
    found = np.array([(guess, seen) for guess, seen in pairs if guess is not None and np.isfinite(seen)])
    if len(found) < LEAST_DAYS:
        return one
    errors, seen = found[:, 0] - found[:, 1], found[:, 1]
    return replace(
        one,
        error=float(f"{np.sqrt(np.mean(errors**2)):.10g}"),
        level=float(f"{seen.mean():.10g}"),
        spread=float(f"{seen.std(ddof=1):.10g}"),
        days=len(found),
    )


def _text(values: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.array([str(value).lower() if isinstance(value, bool | np.bool_) else str(value) for value in values])


def _curve(scores: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """The logistic curve over the log-odds of a score that makes the truth most likely (Newton's method). As in Platt's
    paper no row counts as quite sure, (cases + 1) / (cases + 2), so that it is finite where a holdout is told
    perfectly."""
    odds, cases = _odds(scores), truth.sum()
    hit = np.where(truth == 1, (cases + 1) / (cases + 2), 1 / (len(truth) - cases + 2))
    design = np.column_stack([np.ones(len(odds)), odds])
    place = np.array([0.0, 1.0])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(design @ place, -30, 30)))
        slope = design.T @ (hit - chance)
        bend = (design * (chance * (1 - chance))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(bend, slope)
        place = place + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-10:
            break
    return float(f"{place[0]:.8g}"), float(f"{place[1]:.8g}")


def _of_chances(metric: str, counts: np.ndarray, scores: np.ndarray, curve: tuple[float, float]) -> float:
    """A metric of two classes, over fine bins of which each row is a case with some chance."""
    chance = 1 / (1 + np.exp(-np.clip(curve[0] + curve[1] * _odds(scores), -30, 30)))
    cases, others = counts * chance, counts * (1 - chance)
    if metric == "log_loss":
        given = np.clip(scores, _CLIP, 1 - _CLIP)
        return float(-(cases @ np.log(given) + others @ np.log(1 - given)) / counts.sum())
    if metric == "average_precision":
        caught, alarms = np.cumsum(cases[::-1]), np.cumsum(counts[::-1])
        precision = np.divide(caught, alarms, out=np.zeros_like(caught), where=alarms > 0)
        return float((cases[::-1] * precision).sum() / cases.sum())
    below = np.cumsum(others) - others / 2  # the other rows of the same bin tie
    return float((cases @ below) / (cases.sum() * others.sum()))


def _by_score(
    metric: str, frozen: ColumnProfile, stored: np.ndarray, truth: np.ndarray, scores: np.ndarray
) -> tuple[tuple[int, ...], dict[str, tuple[float, ...]]]:
    """The mean loss by range of the stored score, ranges of about equally many holdout rows."""
    losses = {
        "accuracy": measures.hits, "log_loss": measures.log_losses, "mae": measures.absolute_errors,
        "rmse": measures.squared_errors, "r2": measures.squared_errors,
    }[metric](truth, scores)  # fmt: skip
    place = np.searchsorted(np.array(frozen.edges), stored, side="right")
    counts = np.bincount(place, minlength=len(frozen.counts))
    before = (np.cumsum(counts) - counts) / max(counts.sum(), 1)
    group = np.floor(before * GROUPS + 1e-9).astype(int)
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    mine = np.searchsorted(starts, place, side="right") - 1
    sizes = np.bincount(mine, minlength=len(starts))

    def mean(values: np.ndarray) -> tuple[float, ...]:
        sums = np.bincount(mine, weights=values, minlength=len(starts))
        found = np.divide(sums, sizes, out=np.full(len(starts), values.mean()), where=sizes > 0)
        return tuple(float(f"{value:.8g}") for value in found)

    values = {"loss": mean(losses)}
    if metric == "r2":
        values |= {"truth": mean(truth), "truth_squared": mean(truth * truth)}
    return tuple(starts.tolist()), values


def _table(decisions: np.ndarray, truth: np.ndarray, classes: int) -> tuple[tuple[float, ...], ...]:
    counts = np.zeros((classes, classes))
    np.add.at(counts, (decisions.astype(int), truth.astype(int)), 1.0)
    counts += np.eye(classes) * 1e-9  # a class that was never decided is taken at its word
    shares = counts / counts.sum(axis=1, keepdims=True)
    return tuple(tuple(float(f"{value:.8g}") for value in row) for row in shares)


def _middles(scores: ColumnProfile) -> np.ndarray:
    """A score for each bin: the middle between its edges, which for chances end at 0 and 1."""
    edges = np.clip(np.concatenate([[0.0], scores.edges, [1.0]]), 0.0, 1.0)
    return np.asarray((edges[1:] + edges[:-1]) / 2)


def _odds(scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(scores, _CLIP, 1 - _CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))
