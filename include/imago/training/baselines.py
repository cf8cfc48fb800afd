"""Naive rules that every candidate has to beat. They are compared in each fight and never promoted.

Each is a scikit-learn estimator that reads its columns straight from the feature frame, so that a baseline is fitted,
saved, loaded and scored by the same code as a candidate. The order of the rows makes no difference to any of them.

    rule                                        binary, multiclass             regression
    the same for every row                      PriorRate                      PriorMean, PriorMedian
    of the same group in training               GroupRate                      GroupMean
    what a feature says of the recent past      RecentRate (multi: RecentRates) RecentMean
    the best single feature                     BestColumnRate                 BestColumnMean
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

_JOIN = "\x1f"  # stands between the values of a group's key; no value contains it


class _Rule(BaseEstimator):
    """Answers with the means of `_expected`, one column for each target; subclasses say for classes or for a number.

    The targets of classes are one 0/1 column each, so that their means are the shares of the classes.
    """

    def _targets(self, y: Any) -> np.ndarray:
        raise NotImplementedError

    def _learn(self, X: pd.DataFrame, targets: np.ndarray) -> None:
        raise NotImplementedError

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        raise NotImplementedError

    def fit(self, X: pd.DataFrame, y: Any) -> Self:
        targets = self._targets(y)
        # Sums are made in the order of the targets, so that the order in which rows come is no matter.
        order = np.lexsort(targets.T)
        targets = targets[order]
        self.mean_ = targets.sum(axis=0) / len(targets)
        self._learn(X.iloc[order], targets)
        return self


class _Classifier(ClassifierMixin, _Rule):
    def _targets(self, y: Any) -> np.ndarray:
        self.classes_, place = np.unique(np.asarray(y, dtype=int), return_inverse=True)
        return np.eye(len(self.classes_))[place]

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        check_is_fitted(self, "mean_")
        return np.asarray(self._expected(X))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        chances = self.predict_proba(X)
        # Of two equal classes 1 is told, as a score of one half counts as yes.
        place = chances[:, 1] >= 0.5 if len(self.classes_) == 2 else chances.argmax(axis=1)
        return np.asarray(self.classes_[place.astype(int)])


class _Regressor(RegressorMixin, _Rule):
    def _targets(self, y: Any) -> np.ndarray:
        return np.asarray(y, dtype=float)[:, None]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        check_is_fitted(self, "mean_")
        return np.asarray(self._expected(X)[:, 0])


class _Prior(_Rule):
    def _learn(self, X: pd.DataFrame, targets: np.ndarray) -> None:
        pass

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        return np.tile(self.mean_, (len(X), 1))


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
                parts.append(_texts(column))
        keys = parts[0]
        for part in parts[1:]:
            keys = keys + _JOIN + part
        return keys.to_numpy(dtype=object)

    def _learn(self, X: pd.DataFrame, targets: np.ndarray) -> None:
        place, keys = pd.factorize(self._keys(X), sort=True)
        self.keys_ = [str(key) for key in keys]
        self.means_ = _means(place, targets, len(keys), self.mean_, self.smoothing)

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        place = pd.Index(self.keys_).get_indexer(self._keys(X))
        return np.vstack([self.means_, self.mean_])[place]  # a group that was never seen is at -1, the last


class _BestColumn(_Rule):
    bins: int
    smoothing: float

    def _learn(self, X: pd.DataFrame, targets: np.ndarray) -> None:
        told = {name: self._told(X[name], targets) for name in sorted(X.columns)}
        self.column_ = max(told, key=lambda name: told[name])
        if not told[self.column_] > -np.inf:
            raise ValueError("no column varies, so there is no best one")
        self.cuts_ = _cuts(X[self.column_], self.bins)
        places = _places(X[self.column_], self.cuts_)
        self.means_ = _means(places, targets, len(self.cuts_) + 2, self.mean_, self.smoothing)

    def _told(self, column: pd.Series, targets: np.ndarray) -> float:
        """How much of the targets' variance lies between the column's groups, beyond what as many groups of chance
        would have (adjusted R squared); minus infinity for a column that does not vary."""
        cuts = _cuts(column, self.bins)
        places = _places(column, cuts)
        rows = np.bincount(places, minlength=len(cuts) + 2)
        groups, count = int((rows > 0).sum()), len(places)
        if groups < 2 or count <= groups:
            return -np.inf
        known = rows > 0
        sums = _sums(places, targets - self.mean_, len(cuts) + 2)[known]
        whole = float(((targets - self.mean_) ** 2).sum())
        between = float((sums**2 / rows[known, None]).sum())
        within = (whole - between) / (count - groups)
        return 1 - within / (whole / (count - 1)) if whole > 0 else -np.inf

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.means_[_places(X[self.column_], self.cuts_)])


class PriorRate(_Prior, _Classifier):
    """The share of each class in training, for every row. With two classes its AUC is 0.5; with more, it always decides
    for the most frequent one."""


class PriorMean(_Prior, _Regressor):
    """The mean of the label in training, for every row: the best constant by squared error."""


class PriorMedian(_Prior, _Regressor):
    """The median of the label in training, for every row: the best constant by absolute error."""

    def _learn(self, X: pd.DataFrame, targets: np.ndarray) -> None:
        self.mean_ = np.median(targets, axis=0)


class GroupRate(_Group, _Classifier):
    """The share of each class among training rows of the same group, drawn towards the overall share where rows are few
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


class RecentRate(_Classifier):
    """A feature that is a recent rate already ("this route, last four weeks"), taken as the score of a 0/1 label; where
    it is missing, the training share."""

    def __init__(self, column: str = "") -> None:
        self.column = column

    def _learn(self, X: pd.DataFrame, targets: np.ndarray) -> None:
        if self.classes_.tolist() != [0, 1]:
            raise ValueError(f"a recent rate is a score of the classes 0 and 1, not of {self.classes_.tolist()}")

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        chance = X[self.column].astype(float).fillna(self.mean_[1]).clip(0.0, 1.0).to_numpy()
        return np.column_stack([1.0 - chance, chance])


class RecentRates(_Classifier):
    """One feature for each class, in the order of the spec's `classes`, that is its recent rate or count already ("how
    often this customer paid late"). A row's values are divided by their sum; where one is missing or all are 0, the
    training shares."""

    def __init__(self, columns: tuple[str, ...] = ()) -> None:
        self.columns = columns

    def _learn(self, X: pd.DataFrame, targets: np.ndarray) -> None:
        if len(self.columns) != len(self.classes_):
            raise ValueError(f"{len(self.classes_)} classes need as many columns, got {list(self.columns)}")

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        rates = X[list(self.columns)].to_numpy(dtype=float).clip(min=0.0)
        total = rates.sum(axis=1, keepdims=True)
        return np.where(total > 0, rates / np.where(total > 0, total, 1.0), self.mean_)


class RecentMean(_Regressor):
    """A feature that is the label's last value or recent mean already ("this shop, same weekday, four weeks"), taken as
    the prediction; where it is missing, the training mean."""

    def __init__(self, column: str = "") -> None:
        self.column = column

    def _learn(self, X: pd.DataFrame, targets: np.ndarray) -> None:
        pass

    def _expected(self, X: pd.DataFrame) -> np.ndarray:
        return X[[self.column]].astype(float).fillna(self.mean_[0]).to_numpy()


class BestColumnRate(_BestColumn, _Classifier):
    """The one feature that tells most of the label in training, and the share of each class by its value: numbers are
    cut into `bins` of equal size, texts stand for themselves, missing and unseen values are a group of their own."""

    def __init__(self, bins: int = 20, smoothing: float = 20.0) -> None:
        self.bins = bins
        self.smoothing = smoothing


class BestColumnMean(_BestColumn, _Regressor):
    """The one feature that tells most of the label in training, and the mean label by its value; see
    `BestColumnRate`."""

    def __init__(self, bins: int = 20, smoothing: float = 20.0) -> None:
        self.bins = bins
        self.smoothing = smoothing


def _cuts(column: pd.Series, bins: int) -> list[Any]:
    """The bounds between the groups of a number, or the values of a text that have rows enough to be a group."""
    if not pd.api.types.is_numeric_dtype(column):
        rows = _texts(column).value_counts()
        return sorted(str(value) for value in rows.index[rows >= len(column) / 1000])
    known = column.to_numpy(dtype=float)
    known = known[np.isfinite(known)]
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    return [float(bound) for bound in np.unique(np.quantile(known, inner))] if len(known) else []


def _places(column: pd.Series, cuts: list[Any]) -> np.ndarray:
    """The group of each row, 0 to len(cuts) + 1: missing numbers are the last one, as are texts that are no cut."""
    if not pd.api.types.is_numeric_dtype(column):
        found = pd.Index(cuts, dtype=object).get_indexer(pd.Index(_texts(column), dtype=object))
        return np.where(found < 0, len(cuts) + 1, found)
    values = column.to_numpy(dtype=float)
    return np.where(np.isfinite(values), np.searchsorted(cuts, values, side="right"), len(cuts) + 1)


def _means(places: np.ndarray, targets: np.ndarray, groups: int, overall: np.ndarray, smoothing: float) -> np.ndarray:
    rows = np.bincount(places, minlength=groups)[:, None]
    drawn = _sums(places, targets, groups) + smoothing * overall
    return np.where(rows + smoothing > 0, drawn / np.maximum(rows + smoothing, 1e-300), overall)


def _sums(places: np.ndarray, targets: np.ndarray, groups: int) -> np.ndarray:
    return np.column_stack([np.bincount(places, weights=target, minlength=groups) for target in targets.T])


def _texts(column: pd.Series) -> pd.Series:
    return pd.Series(column.to_numpy(), dtype=object).fillna("").astype(str)
