"""A paired bootstrap over what repeats: how sure is it that one contestant is better than another?

Rows of one day share their luck, and so do rows of one entity: `units` says what is drawn. Both contestants see the
same draw, so what is hard for both cancels out. How draws of days and of entities become one interval is told in
`two_way`. For days, every metric is brought into a form in which a draw costs a few additions, not a pass over the
rows:

- `roc_auc`: a matrix of concordant pairs, C[d, e] = how often a positive of day d scores above a negative of day e
  (ties count half). With day multiplicities w, AUC = w'Cw / ((w'p)(w'n)): exact, and 30 x 30 for a month of days.
- `log_loss`, `brier`, `rmse`, `mae`, `accuracy`: sums per day.
- `macro_f1`: per day and class how often it was told rightly, told, and true.
- `r2`: sums of the truth, its squares and the squared errors per day.
- `average_precision`: rows are sorted once, and running counts kept per day at each score that a positive has; a draw
  adds up the days' counts.

A draw of few days varies less than days do, so the quantiles are moved outwards as Student's distribution wants it
(Hesterberg 2015, "What teachers should know about the bootstrap", expanded percentile interval).

Who has several challengers is beaten by luck more often, so their bounds hold together (Beran 1988, "Balanced
simultaneous confidence sets"): each leaves out the same share of draws, as large as lets all of them hold at once.
Candidates see the same days and err alike, so that share is larger than what Bonferroni's inequality would leave.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from scipy.special import ndtr, stdtrit
from scipy.stats import rankdata

from imago import measures
from imago.selection.influence import influence
from imago.selection.terms import Difference
from imago.selection.two_way import Draws, variance
from imago.selection.units import Units

Sampler = Callable[[np.ndarray], np.ndarray]  # (draws, days) multiplicities -> (draws,) metric
RESAMPLES = 4000
# One-sided, so that both bounds together are the usual 95% interval.
CONFIDENCE = 0.975
CHUNK = 2_000_000  # numbers held at once while draws are added up
_NOTHING = Difference(None, None, None)


def differences(
    *,
    metric: str,
    higher_is_better: bool,
    units: Units,
    truth: np.ndarray,
    scores: Mapping[str, np.ndarray],
    pairs: Sequence[tuple[str, str]],
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    together: Collection[str] | None = None,
) -> dict[tuple[str, str], Difference]:
    """The difference `first - second` for each pair, with a lower and an upper bound.

    Each bound is one-sided at `confidence`. The bounds of the challengers in `together`, which are all names that stand
    first in the pairs unless it is given, hold at once against each opponent: when nobody is better than its opponent,
    some lower bound is above 0 in at most 25 of 1,000 fights. Whoever else is compared gets bounds just as wide.

    `scores` maps a contestant to its scores, aligned with `truth` and `units`, both as in `measures`. A contestant
    whose scores are not all finite gets no interval, and nobody gets one where `units` has a fault. A draw for which
    the metric is not defined (one class only) counts against whatever is claimed. The sign is turned so that above 0
    means that the first is better.
    """
    if units.fault:
        return dict.fromkeys(pairs, _NOTHING)
    draws = Draws(units, seed, resamples)
    wanted = {name for pair in pairs for name in pair if name in scores and np.isfinite(scores[name]).all()}
    measured = {name: _Measured(draws, metric, truth, scores[name]) for name in sorted(wanted)}
    sign = 1.0 if higher_is_better else -1.0
    gaps = {
        (first, second): (
            sign * (measured[first].exact - measured[second].exact),
            sign * (measured[first].drawn - measured[second].drawn),
            sign * (measured[first].slope - measured[second].slope),
        )
        for first, second in pairs
        if first in measured and second in measured
    }
    spreads = {pair: draws.spread(*gap) for pair, gap in gaps.items()}
    found: dict[tuple[str, str], Difference] = dict.fromkeys(pairs, _NOTHING)
    for opponent in {second for _, second in spreads}:
        against = {first: spread for (first, second), spread in spreads.items() if second == opponent}
        family = [against[name][0] for name in against if together is None or name in together]
        low, high = (_tail(family, 1 - confidence, side) for side in (1, -1))
        for name, (spread, count) in against.items():
            found[name, opponent] = _difference(gaps[name, opponent][0], spread, low, high, count)
    return found


class _Measured:
    """One contestant's metric: `exact` on all rows, `drawn` on each draw of days, `slope` the influence of each row,
    which only draws of entities need."""

    def __init__(self, draws: Draws, metric: str, truth: np.ndarray, scores: np.ndarray) -> None:
        units = draws.units
        sample = sampler(metric, units.day_codes, units.day_count, truth, scores)
        self.drawn = sample(draws.days.astype(float)) if units.draws_days else np.zeros(draws.resamples)
        self.exact = float(sample(np.ones((1, units.day_count)))[0])
        self.slope = influence(metric, truth, scores) if units.draws_entities else np.zeros(0)


def _tail(family: Sequence[np.ndarray], chance: float, side: int) -> float:
    """The share of draws that each of the spreads leaves out at its lower (`side` 1) or upper (-1) end, so that in all
    but `chance` of the draws none of them lies beyond its bound."""
    if len(family) < 2:
        return chance
    spreads = side * np.array(family)
    ranks = rankdata(np.where(np.isfinite(spreads), spreads, -np.inf), method="min", axis=1)
    deepest = ranks.min(axis=0) / ranks.shape[1]
    return max(chance / len(family), float(np.quantile(deepest, chance, method="lower")))


def _difference(estimate: float, spread: np.ndarray, low_tail: float, high_tail: float, count: float) -> Difference:
    told = spread[np.isfinite(spread)]
    undefined = ~np.isfinite(spread)
    low_tail, high_tail = expanded_tail(low_tail, count), expanded_tail(high_tail, count)
    low = float(np.quantile(np.where(undefined, -np.inf, spread), low_tail, method="lower"))
    high = float(np.quantile(np.where(undefined, np.inf, spread), 1 - high_tail, method="higher"))
    if not np.isfinite([estimate, low, high]).all():
        return _NOTHING
    return Difference(estimate, low, high, float(np.std(told, ddof=1) * np.sqrt(count / (count - 1))))


def expanded_tail(tail: float, count: float) -> float:
    """The share of draws to leave out at one end, so that the bound holds with chance 1 - `tail` on this many units."""
    return float(ndtr(np.sqrt(count / (count - 1)) * stdtrit(count - 1, tail)))


def score(metric: str, truth: np.ndarray, scores: np.ndarray) -> float:
    """The metric on all rows; NaN where it is not defined (no rows, one class, scores that are not finite)."""
    if not len(truth) or not np.isfinite(scores).all():
        return float("nan")
    return float(sampler(metric, np.zeros(len(truth), dtype=int), 1, truth, scores)(np.ones((1, 1)))[0])


def intervals(
    *,
    metric: str,
    units: Units,
    truth: np.ndarray,
    scores: Mapping[str, np.ndarray],
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """The interval of each contestant's own metric, for the pictures; contestants without finite scores are left
    out."""
    draws = Draws(units, seed, resamples)
    tail = (1 - confidence) / 2
    result = {}
    for name, values in scores.items():
        if np.isfinite(values).all():
            one = _Measured(draws, metric, truth, values)
            drawn = draws.spread(one.exact, one.drawn, one.slope)[0]
            drawn = drawn[np.isfinite(drawn)]
            if drawn.size:
                low, high = np.quantile(drawn, [tail, 1 - tail])
                result[name] = (float(low), float(high))
    return result


def standard_error(metric: str, units: Units, truth: np.ndarray, scores: np.ndarray, *, seed: int) -> float:
    """By how much the metric moves with the units that it was taken on; 0 where that cannot be told."""
    if not units.measurable:
        return 0.0
    draws = Draws(units, seed, RESAMPLES)
    one = _Measured(draws, metric, truth, scores)
    spread, count = draws.spread(one.exact, one.drawn, one.slope)
    told = spread[np.isfinite(spread)]
    return float(np.std(told, ddof=1) * np.sqrt(count / (count - 1))) if len(told) > 1 else 0.0


def day_error(metric: str, units: Units, truth: np.ndarray, scores: np.ndarray) -> float:
    """By how much the metric of one day moves with the entities that it was taken on: the root mean square over the
    days; 0 where that cannot be told."""
    found = []
    for day in range(units.day_count):
        rows = units.day_codes == day
        slope = influence(metric, truth[rows], scores[rows])
        found.append(variance(np.bincount(units.at(rows).entity_codes, weights=slope)))
    known = [value for value in found if np.isfinite(value)]
    return float(np.sqrt(np.mean(known))) if known else 0.0


def sampler(metric: str, codes: np.ndarray, days: int, truth: np.ndarray, scores: np.ndarray) -> Sampler:
    """A function from day multiplicities to the metric on the rows of those days; NaN where it is not defined."""
    truth, scores = np.asarray(truth, dtype=float), np.asarray(scores, dtype=float)
    if metric in _OWN:
        return _OWN[metric](codes, days, truth, scores)
    if metric not in measures.ROW_VALUES:
        raise ValueError(f"unknown metric {metric!r}, allowed: {sorted([*measures.ROW_VALUES, *_OWN])}")
    total = _daily(codes, days, measures.ROW_VALUES[metric](truth, scores))
    rows = np.bincount(codes, minlength=days).astype(float)
    finish = np.sqrt if metric == "rmse" else np.asarray
    return lambda draws: finish((draws @ total) / (draws @ rows))


def _daily(codes: np.ndarray, days: int, values: np.ndarray) -> np.ndarray:
    """The sums of each day, for each column of values."""
    if values.ndim == 1:
        return np.bincount(codes, weights=values, minlength=days)
    return np.column_stack([np.bincount(codes, weights=column, minlength=days) for column in values.T])


def _macro_f1(codes: np.ndarray, days: int, truth: np.ndarray, scores: np.ndarray) -> Sampler:
    hits, told, there = (_daily(codes, days, counts) for counts in measures.class_counts(truth, scores))
    return lambda draws: measures.mean_f1(draws @ hits, draws @ told, draws @ there)


def _r2(codes: np.ndarray, days: int, truth: np.ndarray, scores: np.ndarray) -> Sampler:
    around = truth - truth.mean()  # squares of numbers far from 0 would swallow what varies
    parts = np.column_stack([np.ones(len(truth)), around, around**2, (truth - scores) ** 2])
    sums = _daily(codes, days, parts)

    def sample(draws: np.ndarray) -> np.ndarray:
        rows, total, squares, errors = (draws @ sums).T
        spread = squares - total**2 / rows
        varies = spread > 1e-12 * np.maximum(squares, 1e-300)
        return np.where(varies, 1 - errors / np.where(varies, spread, 1.0), np.nan)

    return sample


def _auc(codes: np.ndarray, days: int, truth: np.ndarray, scores: np.ndarray) -> Sampler:
    positive, negative = truth > 0.5, truth <= 0.5
    positives = np.bincount(codes[positive], minlength=days).astype(float)
    negatives = np.bincount(codes[negative], minlength=days).astype(float)
    concordant = np.zeros((days, days))
    for day in range(days):
        below = np.sort(scores[negative & (codes == day)])
        wins = (
            np.searchsorted(below, scores[positive], "left") + np.searchsorted(below, scores[positive], "right")
        ) / 2
        concordant[:, day] = np.bincount(codes[positive], weights=wins, minlength=days)

    def sample(draws: np.ndarray) -> np.ndarray:
        pairs = (draws @ positives) * (draws @ negatives)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(pairs > 0, np.einsum("rd,rd->r", draws @ concordant, draws) / pairs, np.nan)

    return sample


def _average_precision(codes: np.ndarray, days: int, truth: np.ndarray, scores: np.ndarray) -> Sampler:
    # Precision is looked at where recall rises: at each score that some positive has, from the highest down.
    steps = np.unique(-scores[truth > 0.5])
    place = np.searchsorted(steps, -scores)  # rows between two steps count from the later one on
    within = place < len(steps)
    spots = codes[within] * len(steps) + place[within]

    def running(weights: np.ndarray) -> np.ndarray:
        counts = np.bincount(spots, weights=weights[within], minlength=days * len(steps))
        return np.cumsum(counts.reshape(days, len(steps)), axis=1)

    found, seen = running((truth > 0.5).astype(float)), running(np.ones(len(truth)))
    chunk = max(1, CHUNK // max(len(steps), 1))

    def some(draws: np.ndarray) -> np.ndarray:
        caught, read = draws @ found, draws @ seen
        precision = np.divide(caught, read, out=np.zeros_like(caught), where=read > 0)
        gained = (np.diff(caught, axis=1, prepend=0.0) * precision).sum(axis=1)
        return np.divide(gained, caught[:, -1], out=np.full(len(draws), np.nan), where=caught[:, -1] > 0)

    def sample(draws: np.ndarray) -> np.ndarray:
        if not len(steps):
            return np.full(len(draws), np.nan)
        return np.concatenate([some(draws[start : start + chunk]) for start in range(0, len(draws), chunk)])

    return sample


_OWN: dict[str, Callable[[np.ndarray, int, np.ndarray, np.ndarray], Sampler]] = {
    "roc_auc": _auc,
    "average_precision": _average_precision,
    "macro_f1": _macro_f1,
    "r2": _r2,
}
