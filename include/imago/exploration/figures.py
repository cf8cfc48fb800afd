"""What the report says in numbers: computed from all rows, with Arrow, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imago import keys
from imago.specs import ModelSpec


@dataclass(frozen=True, kw_only=True)
class NumericColumn:
    """A numeric feature: its spread, its share of missing values, and its rank correlation with the label."""

    name: str
    missing: float
    low: float
    median: float
    high: float
    mean: float
    correlation: float


@dataclass(frozen=True, kw_only=True)
class CategoricalColumn:
    """A categorical feature: its most frequent values with their rows and mean label."""

    name: str
    missing: float
    distinct: int
    top: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True, kw_only=True)
class Day:
    """One day: its rows, those with a label, and their mean label."""

    ds: str
    rows: int
    labelled: int
    label: float


def join(features: pa.Table, outcomes: pa.Table, spec: ModelSpec) -> pa.Table:
    """The features with their label, in a stated order; rows without an outcome have a null label."""
    labels = outcomes.select(["ds", *spec.entity_keys, spec.label])
    return keys.join(features, labels, spec.entity_keys, "left outer")


def most_frequent_class(outcomes: pa.Table, spec: ModelSpec) -> tuple[pa.Table, ModelSpec]:
    """Outcomes and spec with a 0/1 label in place of one of several classes: whether it is the most frequent one."""
    label = outcomes.column(spec.label).cast(pa.string())
    counted = pc.value_counts(label.drop_null()).to_pylist()
    usual = max(counted, key=lambda entry: (entry["counts"], entry["values"]))["values"] if counted else ""
    name = f"{spec.label}_is_{usual}"
    place = outcomes.schema.get_field_index(spec.label)
    told = outcomes.set_column(place, name, pc.equal(label, usual).cast(pa.float64()))
    return told, spec.model_copy(update={"label": name})


def by_day(rows: pa.Table, spec: ModelSpec) -> list[Day]:
    """Rows and mean label of each day."""
    grouped = (
        rows.select(["ds", spec.label])
        .group_by("ds", use_threads=False)
        .aggregate([([], "count_all"), (spec.label, "count"), (spec.label, "mean")])
        .sort_by("ds")
    )
    names = ("ds", "count_all", f"{spec.label}_count", f"{spec.label}_mean")
    columns = [grouped.column(name).to_pylist() for name in names]
    return [
        Day(ds=ds, rows=total, labelled=labelled, label=float("nan") if mean is None else mean)
        for ds, total, labelled, mean in zip(*columns, strict=True)
    ]


def numeric(rows: pa.Table, name: str, label: np.ndarray) -> NumericColumn:
    """One numeric feature over all rows. Infinite values count as missing."""
    values = _floats(rows, name)
    known = np.isfinite(values)
    if not known.any():
        nan = float("nan")
        return NumericColumn(name=name, missing=1.0, low=nan, median=nan, high=nan, mean=nan, correlation=nan)
    low, median, high = np.percentile(values[known], [1, 50, 99])
    return NumericColumn(
        name=name,
        missing=float(1 - known.mean()) if known.size else 0.0,
        low=float(low),
        median=float(median),
        high=float(high),
        mean=float(values[known].mean()),
        correlation=rank_correlation(values, label),
    )


def categorical(rows: pa.Table, name: str, spec: ModelSpec, *, most: int = 8) -> CategoricalColumn:
    """One categorical feature over all rows."""
    grouped = (
        rows.select([name, spec.label])
        .group_by(name, use_threads=False)
        .aggregate([([], "count_all"), (spec.label, "mean")])
    ).to_pylist()
    mean = f"{spec.label}_mean"
    present = [row for row in grouped if row[name] is not None]
    present.sort(key=lambda row: (-row["count_all"], str(row[name])))
    total = max(rows.num_rows, 1)
    return CategoricalColumn(
        name=name,
        missing=sum(row["count_all"] for row in grouped if row[name] is None) / total,
        distinct=len(present),
        top=tuple(
            (str(row[name]), row["count_all"], float("nan") if row[mean] is None else row[mean])
            for row in present[:most]
        ),
    )


def rank_correlation(values: np.ndarray, label: np.ndarray) -> float:
    """Spearman's correlation over the rows where both are known; NaN when one of them is constant.

    >>> rank_correlation(np.array([1.0, 2.0, 30.0]), np.array([0.0, 1.0, 2.0]))
    1.0
    """
    known = np.isfinite(values) & np.isfinite(label)
    if known.sum() < 2:
        return float("nan")
    left, right = _ranks(values[known]), _ranks(label[known])
    if left.std() == 0 or right.std() == 0:
        return float("nan")
    return round(float(np.corrcoef(left, right)[0, 1]), 12)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, where equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: np.ndarray = ((ends - counts) + ends - 1) / 2
    shared: np.ndarray = means[inverse]
    return shared


def _floats(rows: pa.Table, name: str) -> np.ndarray:
    column = pc.cast(rows.column(name), pa.float64())
    values: np.ndarray = pc.fill_null(column, float("nan")).to_numpy()
    return values


def labels_of(rows: pa.Table, spec: ModelSpec) -> np.ndarray:
    """The label as floats, NaN where there is none."""
    return _floats(rows, spec.label)


def sample(rows: pa.Table, most: int, seed: int) -> pa.Table:
    """At most so many rows, drawn without replacement, in their order: for pictures only."""
    if rows.num_rows <= most:
        return rows
    chosen = np.sort(np.random.default_rng(seed).choice(rows.num_rows, size=most, replace=False))
    return rows.take(pa.array(chosen))
