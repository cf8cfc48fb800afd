"""Naive rules that every candidate has to beat. They are compared in each fight and never promoted.

Each is a scikit-learn estimator that reads its columns straight from the feature frame, so that a baseline is fitted,
saved, loaded and scored by the same code as a candidate. For a binary label the score is the probability of 1; for a
number, `predict` gives the value itself.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

_JOIN = "\x1f"  # stands between the values of a group's key; no value contains it


class _Rule(BaseEstimator):
    """Answers with the value of `_expected`; subclasses say for a class or for a number."""

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        raise NotImplementedError

    def _learn(self, X: pd.DataFrame, y: np.ndarray) -> None:
        raise NotImplementedError

    def fit(self, X: pd.DataFrame, y: Any) -> Self:
        target = np.asarray(y, dtype=float)
        self.mean_ = float(target.mean())
        self.classes_ = np.array([0, 1])
        self._learn(X, target)
        return self


class _Classifier(ClassifierMixin, _Rule):
    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        check_is_fitted(self, "mean_")
        chance = np.clip(self._expected(X), 0.0, 1.0)
        return np.column_stack([1.0 - chance, chance])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(int)


class _Regressor(RegressorMixin, _Rule):
    def predict(self, X: pd.DataFrame) -> np.ndarray:
        check_is_fitted(self, "mean_")
        return self._expected(X)


class _Mean(_Rule):
    def _learn(self, X: pd.DataFrame, y: np.ndarray) -> None:
        pass

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        return np.full(len(X), self.mean_)


class _Group(_Rule):
    columns: tuple[str, ...]
    bin_width: float
    smoothing: float

    def _keys(self, X: pd.DataFrame) -> np.ndarray:
        """One text per row. Numbers are cut into bins of `bin_width`, so that a minute of day becomes an hour."""
        parts = []
        for name in self.columns:
            column = X[name]
            if pd.api.types.is_numeric_dtype(column):
                binned = np.floor(column.to_numpy(dtype=float) / self.bin_width)
                parts.append(pd.Series(np.where(np.isnan(binned), "", binned.astype(str)), dtype=object))
            else:
                parts.append(pd.Series(column.to_numpy(), dtype=object).fillna("").astype(str))
        keys = parts[0]
        for part in parts[1:]:
            keys = keys + _JOIN + part
        return keys.to_numpy(dtype=object)

    def _learn(self, X: pd.DataFrame, y: np.ndarray) -> None:
        table = pd.DataFrame({"key": self._keys(X), "y": y}).groupby("key", sort=True)["y"].agg(["sum", "count"])
        means = (table["sum"] + self.smoothing * self.mean_) / (table["count"] + self.smoothing)
        self.keys_ = [str(key) for key in table.index]
        self.means_ = means.to_numpy(dtype=float)

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        known = pd.Series(self.means_, index=self.keys_)
        return known.reindex(self._keys(X)).fillna(self.mean_).to_numpy(dtype=float)


class _Column(_Rule):
    column: str

    def _learn(self, X: pd.DataFrame, y: np.ndarray) -> None:
        pass

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        return X[self.column].astype(float).fillna(self.mean_).to_numpy()


class _BestColumn(_Rule):
    def _learn(self, X: pd.DataFrame, y: np.ndarray) -> None:
        numbers = [name for name in X.columns if pd.api.types.is_numeric_dtype(X[name])]
        # Spearman's correlation is blind to scale and, for a 0/1 label, orders columns as the AUC does.
        strength = {name: X[name].rank().corr(pd.Series(y, index=X.index).rank()) for name in numbers}
        known = {name: value for name, value in strength.items() if np.isfinite(value)}
        if not known:
            raise ValueError("no numeric column varies, so there is no best one")
        self.column_ = max(sorted(known), key=lambda name: abs(known[name]))
        values = X[self.column_].astype(float)
        bounds = np.unique(np.nanquantile(values, np.linspace(0, 1, self.bins + 1)[1:-1]))
        places = np.searchsorted(bounds, values.fillna(np.inf), side="right")
        sums = np.bincount(places, weights=y, minlength=len(bounds) + 1)
        counts = np.bincount(places, minlength=len(bounds) + 1)
        self.bounds_ = bounds
        self.means_ = (sums + 20.0 * self.mean_) / (counts + 20.0)

    bins: int

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        values = X[self.column_].astype(float).fillna(np.inf)
        return self.means_[np.searchsorted(self.bounds_, values, side="right")]


class PriorRate(_Mean, _Classifier):
    """The share of positives in training, for every row. Its AUC is 0.5."""


class PriorMean(_Mean, _Regressor):
    """The mean of the label in training, for every row."""


class GroupRate(_Group, _Classifier):
    """The share of positives among training rows of the same group, drawn towards the overall share where rows are few
    (by `smoothing` rows). A group that was never seen gets the overall share."""

    def __init__(self, columns: tuple[str, ...] = (), bin_width: float = 1.0, smoothing: float = 20.0) -> None:
        self.columns = columns
        self.bin_width = bin_width
        self.smoothing = smoothing


class GroupMean(_Group, _Regressor):
    """The mean of the label among training rows of the same group; see `GroupRate`."""

    def __init__(self, columns: tuple[str, ...] = (), bin_width: float = 1.0, smoothing: float = 20.0) -> None:
        self.columns = columns
        self.bin_width = bin_width
        self.smoothing = smoothing


class RecentRate(_Column, _Classifier):
    """A feature that is a recent rate already ("this route, last four weeks"), taken as the score; where it is missing,
    the training share."""

    def __init__(self, column: str = "") -> None:
        self.column = column


class LastValue(_Column, _Regressor):
    """A feature that is the label's last value already ("same hour yesterday"), taken as the prediction."""

    def __init__(self, column: str = "") -> None:
        self.column = column


class BestColumnRate(_BestColumn, _Classifier):
    """The one numeric feature that orders the label best in training, cut into `bins` with the share of positives in
    each."""

    def __init__(self, bins: int = 20) -> None:
        self.bins = bins


class BestColumnMean(_BestColumn, _Regressor):
    """The one numeric feature that orders the label best in training, cut into `bins` with the mean label in each."""

    def __init__(self, bins: int = 20) -> None:
        self.bins = bins
