"""Metrics of scores against outcomes, on numpy alone: a daily task should not wait for scikit-learn's import.

Every function takes `labels` (0 or 1; numbers for errors) and `scores`, equally long. What cannot be said (one class
only, no row) is None.
"""

from __future__ import annotations

import numpy as np

CALIBRATION_BINS = 10
_CLIP = 1e-15


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """The chance that a positive row scores above a negative one, ties counting half (Mann-Whitney).

    >>> roc_auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.5, 0.5]))
    0.875
    """
    positive = labels == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return None
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2.0)[place]
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def roc_auc_error(auc: float, positive: int, negative: int) -> float:
    """The standard error of an AUC (Hanley and McNeil 1982): what is noise when few rows are positive."""
    one, two = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (positive - 1) * (one - auc * auc) + (negative - 1) * (two - auc * auc)
    return float((max(spread, 0.0) / (positive * negative)) ** 0.5)


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Precision averaged over the steps of recall, as scikit-learn's `average_precision_score`."""
    if not (labels == 1).any():
        return None
    order = np.argsort(-scores, kind="stable")
    ranked, shown = scores[order], (labels[order] == 1).astype(np.float64)
    last = np.flatnonzero(np.concatenate([ranked[1:] != ranked[:-1], [True]]))  # rows of one score are told together
    caught = np.cumsum(shown)[last]
    gained = np.diff(np.concatenate([[0.0], caught]))
    return float((gained * caught / (last + 1)).sum() / caught[-1])


def log_loss(labels: np.ndarray, scores: np.ndarray) -> float | None:
    if not len(labels):
        return None
    sure = np.clip(scores, _CLIP, 1 - _CLIP)
    return float(-np.mean(np.where(labels == 1, np.log(sure), np.log1p(-sure))))


def brier(labels: np.ndarray, scores: np.ndarray) -> float | None:
    return float(np.mean((scores - labels) ** 2)) if len(labels) else None


def calibration_error(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Mean distance between the mean score and the rate of positives over ten bins of equal width, weighed by rows."""
    if not len(labels):
        return None
    place = np.clip((scores * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    promised = np.bincount(place, weights=scores, minlength=CALIBRATION_BINS)
    happened = np.bincount(place, weights=labels.astype(np.float64), minlength=CALIBRATION_BINS)
    return float(np.abs(promised - happened).sum() / len(labels))


def binary_metrics(labels: np.ndarray, scores: np.ndarray, decisions: np.ndarray) -> dict[str, float]:
    """All metrics that can be said of these rows."""
    positive = labels == 1
    caught, warned = int((decisions & positive).sum()), int(decisions.sum())
    said: dict[str, float | None] = {
        "roc_auc": roc_auc(labels, scores),
        "average_precision": average_precision(labels, scores),
        "log_loss": log_loss(labels, scores),
        "brier": brier(labels, scores),
        "calibration_error": calibration_error(labels, scores),
        "label_rate": float(positive.mean()) if len(labels) else None,
        "mean_score": float(scores.mean()) if len(labels) else None,
        "decision_rate": float(decisions.mean()) if len(labels) else None,
        "precision": caught / warned if warned else None,
        "recall": caught / int(positive.sum()) if positive.any() else None,
    }
    return {name: value for name, value in said.items() if value is not None}


def error_metrics(truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Metrics of a regression."""
    if not len(truth):
        return {}
    errors = scores - truth
    return {
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mae": float(np.abs(errors).mean()),
        "mean_score": float(scores.mean()),
        "mean_truth": float(truth.mean()),
    }
