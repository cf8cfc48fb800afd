"""A paired bootstrap over blocks of days: how sure is it that one contestant is better than another?

Flights of one day share weather and congestion, so days are drawn, not rows; both contestants see the same draw, so
what is hard for both cancels out. Every metric is brought into a form in which a draw costs a few additions, not a
pass over the rows:

- `roc_auc`: a matrix of concordant pairs, C[d, e] = how often a positive of day d scores above a negative of day e
  (ties count half). With day multiplicities w, AUC = w'Cw / ((w'p)(w'n)): exact, and 30 x 30 for a month of days.
- `log_loss`, `rmse`, `mae`, `accuracy`: sums per day.
- `average_precision`: rows are sorted once, and a draw is a weighted running sum.

A draw of few days varies less than days do, so the quantiles are moved outwards as Student's distribution wants it
(Hesterberg 2015, "What teachers should know about the bootstrap", expanded percentile interval).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import ndtr, stdtrit

from imago.selection.terms import Difference

Sampler = Callable[[np.ndarray], np.ndarray]  # (draws, days) multiplicities -> (draws,) metric
RESAMPLES = 4000
# On fewer days everything can lie on one side by luck: that all of 3 days favour the first has a chance of 1 in 8.
LEAST_DAYS = 7
_NOTHING = Difference(None, None, None)


def differences(
    *,
    metric: str,
    higher_is_better: bool,
    days: Sequence[str] | np.ndarray,
    truth: np.ndarray,
    scores: Mapping[str, np.ndarray],
    pairs: Sequence[tuple[str, str]],
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    challengers: int | None = None,
) -> dict[tuple[str, str], Difference]:
    """The difference `first - second` for each pair, with a lower and an upper bound.

    Each bound is one-sided at `confidence`, corrected (Bonferroni) for the number of `challengers`, which is that of
    the names that stand first in the pairs unless it is given: when nobody is better than its opponent, some lower
    bound is above 0 in at most 5 of 100 fights.

    `scores` maps a contestant to its scores, aligned with `truth` and `days`. A contestant whose scores are not all
    finite gets no interval, and nobody gets one on fewer than `LEAST_DAYS` days. A draw for which the metric is not
    defined (one class only) counts against whatever is claimed. The sign is turned so that above 0 means that the
    first is better.
    """
    names, codes = np.unique(np.asarray(days), return_inverse=True)
    if len(names) < LEAST_DAYS:
        return dict.fromkeys(pairs, _NOTHING)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    wanted = {name for pair in pairs for name in pair if name in scores and np.isfinite(scores[name]).all()}
    samplers = {name: sampler(metric, codes, len(names), truth, scores[name]) for name in sorted(wanted)}
    drawn = {name: sample(draws.astype(float)) for name, sample in samplers.items()}
    exact = {name: float(sample(np.ones((1, len(names))))[0]) for name, sample in samplers.items()}
    challengers = challengers or max(len({first for first, _ in pairs}), 1)
    tail = expanded_tail((1 - confidence) / challengers, len(names))
    sign = 1.0 if higher_is_better else -1.0
    return {
        (first, second): _difference(sign * (exact[first] - exact[second]), sign * (drawn[first] - drawn[second]),
                                     tail, len(names))
        if first in drawn and second in drawn
        else _NOTHING
        for first, second in pairs
    }  # fmt: skip


def _difference(estimate: float, spread: np.ndarray, tail: float, days: int) -> Difference:
    told = spread[np.isfinite(spread)]
    if len(told) < 2:
        return _NOTHING
    undefined = ~np.isfinite(spread)
    low = float(np.quantile(np.where(undefined, -np.inf, spread), tail, method="lower"))
    high = float(np.quantile(np.where(undefined, np.inf, spread), 1 - tail, method="higher"))
    if not np.isfinite([estimate, low, high]).all():
        return _NOTHING
    return Difference(estimate, low, high, float(np.std(told, ddof=1) * np.sqrt(days / (days - 1))))


def expanded_tail(tail: float, days: int) -> float:
    """The share of draws to leave out at one end, so that the bound holds with chance 1 - `tail` on this many days."""
    return float(ndtr(np.sqrt(days / (days - 1)) * stdtrit(days - 1, tail)))


def score(metric: str, truth: np.ndarray, scores: np.ndarray) -> float:
    """The metric on all rows; NaN where it is not defined (no rows, one class, scores that are not finite)."""
    if not len(truth) or not np.isfinite(scores).all():
        return float("nan")
    return float(sampler(metric, np.zeros(len(truth), dtype=int), 1, truth, scores)(np.ones((1, 1)))[0])


def intervals(
    *,
    metric: str,
    days: Sequence[str] | np.ndarray,
    truth: np.ndarray,
    scores: Mapping[str, np.ndarray],
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """The interval of each contestant's own metric, for the pictures; contestants without finite scores are left
    out."""
    names, codes = np.unique(np.asarray(days), return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    tail = (1 - confidence) / 2
    result = {}
    for name, values in scores.items():
        if np.isfinite(values).all():
            drawn = sampler(metric, codes, len(names), truth, values)(draws.astype(float))
            drawn = drawn[np.isfinite(drawn)]
            if drawn.size:
                low, high = np.quantile(drawn, [tail, 1 - tail])
                result[name] = (float(low), float(high))
    return result


def sampler(metric: str, codes: np.ndarray, days: int, truth: np.ndarray, scores: np.ndarray) -> Sampler:
    """A function from day multiplicities to the metric on the rows of those days; NaN where it is not defined."""
    truth, scores = np.asarray(truth, dtype=float), np.asarray(scores, dtype=float)
    if metric == "roc_auc":
        return _auc(codes, days, truth, scores)
    if metric == "average_precision":
        return _average_precision(codes, truth, scores)
    if metric not in _ROW_LOSSES:
        raise ValueError(
            f"unknown metric {metric!r}, allowed: {sorted([*_ROW_LOSSES, 'average_precision', 'roc_auc'])}"
        )
    total = np.bincount(codes, weights=_ROW_LOSSES[metric](truth, scores), minlength=days)
    rows = np.bincount(codes, minlength=days).astype(float)
    finish = np.sqrt if metric == "rmse" else np.asarray
    return lambda draws: finish((draws @ total) / (draws @ rows))


def _log_loss(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(scores, 1e-15, 1 - 1e-15)
    return -(truth * np.log(clipped) + (1 - truth) * np.log1p(-clipped))


_ROW_LOSSES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "log_loss": _log_loss,
    "rmse": lambda truth, scores: (truth - scores) ** 2,
    "mae": lambda truth, scores: np.abs(truth - scores),
    "accuracy": lambda truth, scores: ((scores >= 0.5) == (truth >= 0.5)).astype(float),
}


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


def _average_precision(codes: np.ndarray, truth: np.ndarray, scores: np.ndarray) -> Sampler:
    order = np.argsort(-scores, kind="stable")
    codes, hits, ranked = codes[order], truth[order], scores[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # the last row of each group of equal scores

    def one(draw: np.ndarray) -> float:
        weight = draw[codes]
        found, seen = np.cumsum(weight * hits)[last], np.cumsum(weight)[last]
        if found[-1] == 0:
            return float("nan")
        precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
        return float(np.sum(np.diff(found, prepend=0.0) * precision) / found[-1])

    return lambda draws: np.array([one(draw) for draw in draws])
