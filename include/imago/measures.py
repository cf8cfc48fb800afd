"""What scores are worth against the truth: each metric once, on numpy alone, equal to scikit-learn's.

Of n rows:

    problem      truth                        scores
    binary       0 or 1                       (n,)    the chance of 1
    multiclass   the class's place, 0..K-1    (n, K)  the chance of each class
    regression   a number                     (n,)    the predicted number

A metric that cannot be said (no row, one class where two are needed, scores that are not finite) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_CLIP = float(np.finfo(np.float64).eps)  # as scikit-learn clips: a sure and wrong score costs 36, not infinity


def metric(name: str, truth: np.ndarray, scores: np.ndarray) -> float:
    """One metric by its name in the spec; an unknown name is a KeyError."""
    compute = _METRICS[name]
    if not len(truth) or not np.isfinite(scores).all():
        return float("nan")
    return float(compute(np.asarray(truth, dtype=float), np.asarray(scores, dtype=float)))


def decided(scores: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """The class of each row: the most probable one, the first of equals; of a 0/1 label, 1 from the threshold on."""
    if scores.ndim == 2:
        return np.asarray(scores.argmax(axis=1), dtype=int)
    return (scores >= threshold).astype(int)


def calibration_error(truth: np.ndarray, scores: np.ndarray, bins: int = 10) -> float:
    """The mean distance between promised and observed share, over groups of equal size, weighted by rows."""
    _, promised, observed, rows = calibration_curve(truth, scores, bins)
    return float(np.average(np.abs(promised - observed), weights=rows))


def calibration_curve(truth: np.ndarray, scores: np.ndarray, bins: int = 10) -> tuple[np.ndarray, ...]:
    """(group, mean score, share of positives, rows) for groups of equal size; equal scores share a group."""
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1]))
    places = np.searchsorted(edges, scores, side="left")
    rows = np.bincount(places)
    kept = rows > 0
    promised = np.bincount(places, weights=scores)[kept] / rows[kept]
    observed = np.bincount(places, weights=truth)[kept] / rows[kept]
    return np.flatnonzero(kept), promised, observed, rows[kept]


def roc_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """The chance that a positive row scores above a negative one, ties counting half (Mann-Whitney).

    >>> roc_auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.5, 0.5]))
    0.875
    """
    positive = truth == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2.0)[place]
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Precision averaged over the steps of recall."""
    if not (truth == 1).any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], (truth[order] == 1).astype(float)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # rows of one score are told together
    caught = np.cumsum(hits)[last]
    return float((np.diff(caught, prepend=0.0) * caught / (last + 1)).sum() / caught[-1])


def macro_f1(truth: np.ndarray, scores: np.ndarray) -> float:
    """The mean F1 over the classes that occur in the truth or in the decisions, each class counting the same."""
    hits, told, there = class_counts(truth, scores)
    return float(mean_f1(hits.sum(axis=0), told.sum(axis=0), there.sum(axis=0)))


def class_counts(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per row and class, as 0 or 1: told rightly, told, and true."""
    classes = np.arange(scores.shape[1] if scores.ndim == 2 else 2)
    told = (decided(scores)[:, None] == classes).astype(float)
    there = (truth[:, None] == classes).astype(float)
    return told * there, told, there


def mean_f1(hits: np.ndarray, told: np.ndarray, there: np.ndarray) -> np.ndarray:
    """F1 from counts whose last axis are the classes, averaged over those that occur."""
    both = told + there
    f1 = np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0)
    return f1.sum(axis=-1) / np.maximum((both > 0).sum(axis=-1), 1)


def r2(truth: np.ndarray, scores: np.ndarray) -> float:
    """The share of the truth's variance that the predictions explain; NaN where the truth does not vary."""
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1.0 - float(((truth - scores) ** 2).sum()) / spread if spread else float("nan")


def log_losses(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Per row, minus the logarithm of the chance that was given to what happened."""
    if scores.ndim == 2:
        given = scores[np.arange(len(truth)), truth.astype(int)]
    else:
        given = np.where(truth == 1, scores, 1.0 - scores)
    return -np.log(np.clip(given, _CLIP, 1 - _CLIP))


def squared_errors(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.asarray((truth - scores) ** 2)


def absolute_errors(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(truth - scores))


def hits(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Per row, 1 where the decision is right."""
    return (decided(scores) == truth).astype(float)


# Metrics that are a mean over rows; `rmse` is the root of one.
ROW_VALUES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "log_loss": log_losses,
    "brier": squared_errors,
    "accuracy": hits,
    "mae": absolute_errors,
    "rmse": squared_errors,
}
_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "roc_auc": roc_auc,
    "average_precision": average_precision,
    "log_loss": lambda truth, scores: log_losses(truth, scores).mean(),
    "brier": lambda truth, scores: squared_errors(truth, scores).mean(),
    "accuracy": lambda truth, scores: hits(truth, scores).mean(),
    "macro_f1": macro_f1,
    "mae": lambda truth, scores: absolute_errors(truth, scores).mean(),
    "rmse": lambda truth, scores: squared_errors(truth, scores).mean() ** 0.5,
    "r2": r2,
}
