"""How far each row moves a metric: its derivative by the weight of the row (Hampel 1974, "The influence curve and its
role in robust estimation"; for the AUC these are the placements of DeLong, DeLong and Clarke-Pearson 1988). Pure.

With weights w near 1 the metric is about its value at 1 plus the sum of (w - 1) times these, so the variance over any
kind of unit is the sum of squares of the units' sums, without a draw: cheap for thousands of entities.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from imago import measures


def influence(metric: str, truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """One number per row, 0 in sum; NaN where the metric is not defined. `truth` and `scores` are as in `measures`."""
    truth, scores = np.asarray(truth, dtype=float), np.asarray(scores, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric in _OWN:
            return _OWN[metric](truth, scores)
        values = measures.ROW_VALUES[metric](truth, scores)
        slope = (values - values.mean()) / len(values)
        if metric == "rmse":
            slope = slope / (2 * np.sqrt(values.mean())) if values.any() else np.zeros(len(values))
        return np.asarray(slope)


def _auc(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    positive = truth > 0.5
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    slope = np.empty(len(scores))
    slope[positive] = _share_below(below, scores[positive]) / len(above)
    slope[~positive] = (1 - _share_below(above, scores[~positive])) / len(below)
    area = slope[positive].sum()
    slope[positive] -= area / len(above)
    slope[~positive] -= area / len(below)
    return slope


def _share_below(others: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Ties count half."""
    twice = np.searchsorted(others, scores, "left") + np.searchsorted(others, scores, "right")
    return np.asarray(twice / (2 * len(others)))


def _average_precision(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    # At each different score, from the highest down: rows and positives so far, and positives at that very score.
    steps, step_of = np.unique(-scores, return_inverse=True)
    here = np.bincount(step_of, weights=truth, minlength=len(steps))
    caught, read = np.cumsum(here), np.cumsum(np.bincount(step_of, minlength=len(steps)))
    precision, positives = caught / read, here.sum()
    # A row weighs on the precision of its own step and of all lower ones.
    gained = np.cumsum((here / read)[::-1])[::-1]
    lost = np.cumsum((here * caught / read**2)[::-1])[::-1]
    whole = (here * precision).sum() / positives
    return np.asarray((truth * (precision[step_of] + gained[step_of] - whole) - lost[step_of]) / positives)


def _macro_f1(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    hits, told, there = measures.class_counts(truth, scores)
    both = (told + there).sum(axis=0)
    occurs = both > 0
    f1 = 2 * hits.sum(axis=0)[occurs] / both[occurs]
    slope = (2 * hits[:, occurs] - f1 * (told + there)[:, occurs]) / both[occurs]
    return np.asarray(slope.mean(axis=1))


def _r2(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    squares, errors = (truth - truth.mean()) ** 2, (truth - scores) ** 2
    spread, loss = squares.mean(), errors.mean()
    return np.asarray(((squares - spread) * loss / spread - (errors - loss)) / (spread * len(truth)))


_OWN: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "roc_auc": _auc,
    "average_precision": _average_precision,
    "macro_f1": _macro_f1,
    "r2": _r2,
}
