"""A metric as parts that add up: those of two days are the sum of each day's, and the metric is told from the sum.

So the metric over any range costs a few additions, and so does a draw of days in a bootstrap:

    whole = parts_of("roc_auc", truth, scores)          of one day
    finish("roc_auc", sum_of_days)                      equals the metric on all rows
    finish("roc_auc", draws @ parts_by_day)             one value for each draw

- `roc_auc`, `average_precision`: rows with and without the outcome, counted by score. The bins are a hundredth of a
  unit of log-odds wide, in which a score moves by at most 1% of itself; rows of one bin count as tied, which moves an
  AUC by less than 0.001 on a thousand rows, by less the more there are.
- `macro_f1`: per class, how often it was told rightly, told, and true. `r2`: rows, the label's sum and squares, the
  squared errors. All others are means over rows: rows, and the sum of their values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from imago import measures

_EDGES = np.linspace(-10.0, 10.0, 2001)
_BINS = len(_EDGES) + 1
_RANKED = ("roc_auc", "average_precision")


def parts_of(metric: str, truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The parts of the metric on these rows; `truth` and `scores` are as in `measures`."""
    truth, scores = np.asarray(truth, dtype=float), np.asarray(scores, dtype=float)
    if metric in _RANKED:
        place = np.searchsorted(_EDGES, _log_odds(scores))
        return np.concatenate([np.bincount(place[truth == value], minlength=_BINS) for value in (1, 0)]).astype(float)
    if metric == "macro_f1":
        return np.concatenate([counts.sum(axis=0) for counts in measures.class_counts(truth, scores)])
    if metric == "r2":
        return np.array([len(truth), truth.sum(), (truth**2).sum(), ((truth - scores) ** 2).sum()])
    return np.array([len(truth), measures.ROW_VALUES[metric](truth, scores).sum()])


def finish(metric: str, parts: np.ndarray) -> np.ndarray:
    """The metric of each row of `parts` (its last axis); NaN where it is not defined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(_FINISH.get(metric, _mean)(np.asarray(parts, dtype=float)))


def width(metric: str, classes: int) -> int:
    """How many parts a metric has."""
    return 2 * _BINS if metric in _RANKED else {"macro_f1": 3 * classes, "r2": 4}.get(metric, 2)


def _log_odds(scores: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.clip(scores, 0, 1)) - np.log(1 - np.clip(scores, 0, 1))


def _mean(parts: np.ndarray) -> np.ndarray:
    return np.asarray(parts[..., 1] / parts[..., 0])


def _auc(parts: np.ndarray) -> np.ndarray:
    there, absent = parts[..., :_BINS], parts[..., _BINS:]
    below = np.cumsum(absent, axis=-1) - absent / 2
    return np.asarray((there * below).sum(axis=-1) / (there.sum(axis=-1) * absent.sum(axis=-1)))


def _average_precision(parts: np.ndarray) -> np.ndarray:
    there, absent = parts[..., :_BINS][..., ::-1], parts[..., _BINS:][..., ::-1]
    caught = np.cumsum(there, axis=-1)
    read = caught + np.cumsum(absent, axis=-1)
    precision = np.divide(caught, read, out=np.zeros_like(caught), where=read > 0)
    return np.asarray((there * precision).sum(axis=-1) / caught[..., -1])


def _macro_f1(parts: np.ndarray) -> np.ndarray:
    hits, told, there = np.split(parts, 3, axis=-1)
    return np.asarray(np.where(there.sum(axis=-1) > 0, measures.mean_f1(hits, told, there), np.nan))


def _r2(parts: np.ndarray) -> np.ndarray:
    rows, total, squares, errors = np.moveaxis(parts, -1, 0)
    spread = squares - total**2 / rows
    return np.where(spread > 1e-12 * squares, 1 - errors / spread, np.nan)


_FINISH: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "roc_auc": _auc,
    "average_precision": _average_precision,
    "macro_f1": _macro_f1,
    "r2": _r2,
    "rmse": lambda parts: np.sqrt(_mean(parts)),
}
