"""Choosing the bins that every later day is counted into, from the champion's training data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc

from imago.monitoring.profiles import ColumnProfile, Profile, numbers, strings

QUANTILE_BINS = 256
UNIFORM_BINS = 256
FEW_VALUES = 256  # a numeric column with at most this many distinct values gets one bin per value
MAX_CATEGORIES = 100


def freeze(columns: Mapping[str, object], kinds: Mapping[str, Literal["numeric", "categorical"]]) -> Profile:
    """The bins of each column, with nothing counted yet.

    Numeric: one bin a value when there are few; else edges at the quantiles (fine where the data are) and evenly
    between the 0.1% and 99.9% quantile (fine where the data are not), about 512 in all. Beyond the smallest and the
    largest value lies one open bin each. Categorical: the most frequent names, ties by name.
    """
    return Profile(
        {
            name: _names(columns[name]) if kind == "categorical" else _numbers(columns[name])
            for name, kind in kinds.items()
        }
    )


def names_as_bins(names: Any) -> ColumnProfile:
    """A bin for each of the names, also for those that the training never saw."""
    ordered = tuple(sorted(names))
    return ColumnProfile("categorical", (), ordered, (0,) * len(ordered))


def _names(values: object) -> ColumnProfile:
    counted = pc.value_counts(strings(values).drop_null()).to_pylist()
    ordered = sorted(counted, key=lambda entry: (-entry["counts"], entry["values"]))[:MAX_CATEGORIES]
    return names_as_bins(entry["values"] for entry in ordered)


def _numbers(values: object) -> ColumnProfile:
    column = numbers(values)
    finite = np.sort(column[np.isfinite(column)])
    distinct = np.unique(finite)
    if len(distinct) <= FEW_VALUES:
        edges = (distinct[1:] + distinct[:-1]) / 2
        return ColumnProfile("discrete", tuple(edges.tolist()), (), (0,) * (len(edges) + 1))
    inner = np.quantile(finite, np.linspace(0, 1, QUANTILE_BINS + 1)[1:-1])
    low, high = np.quantile(finite, [0.001, 0.999])
    ends = [finite[0], np.nextafter(finite[-1], np.inf)]
    edges = np.unique(np.concatenate([ends, inner, np.linspace(low, high, UNIFORM_BINS - 1)]))
    return ColumnProfile("numeric", tuple(edges.tolist()), (), (0,) * (len(edges) + 1))
