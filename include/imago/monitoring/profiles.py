"""Profiles: what a day looked like, small enough to keep for ever and mergeable by addition.

A profile holds a histogram for each column. Its edges (or category names) are frozen when the champion is trained,
so that any two days under one champion can be added together and compared with the training data without going back
to rows:

    bins = freeze(columns, kinds)                     # once per champion
    monday = Profile.of(columns_of_monday, bins)
    week = Profile.merge([monday, tuesday, ...])

`columns` is a mapping of name to numpy-convertible values. Sizes: about 130 counts a numeric column, at most 100
names a categorical one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal["numeric", "categorical"]

SCORE = "prediction.score"  # a dot keeps them apart from features, whose names are dbt columns
DECISION = "prediction.decision"
QUANTILE_EDGES = 64
UNIFORM_EDGES = 64
FEW_VALUES = 64  # a numeric column with at most this many distinct values gets one bin per value
MAX_CATEGORIES = 100

PROFILE_SCHEMA = pa.schema(
    [
        pa.field("ds", pa.string()),
        pa.field("column", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("edges", pa.list_(pa.float64())),
        pa.field("categories", pa.list_(pa.string())),
        pa.field("counts", pa.list_(pa.int64())),
        pa.field("missing", pa.int64()),
        pa.field("unseen", pa.int64()),
        pa.field("rows", pa.int64()),
        pa.field("total", pa.float64()),
        pa.field("squares", pa.float64()),
    ]
)


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one or more days.

    `edges` has one element less than `counts`: the first and the last bin are open. `unseen` counts categories that the
    reference does not name, and infinite numbers. `total` and `squares` are the sums of the finite values and of their
    squares, for means and deviations. `rows` = sum(counts) + missing + unseen.
    """

    kind: Kind
    edges: tuple[float, ...]
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    missing: int
    unseen: int
    rows: int
    total: float
    squares: float

    @property
    def known(self) -> int:
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        return self.total / self.known if self.kind == "numeric" and self.known else None

    @property
    def deviation(self) -> float | None:
        """Population standard deviation of the finite values."""
        if self.kind != "numeric" or not self.known:
            return None
        mean = self.total / self.known
        return float(max(self.squares / self.known - mean * mean, 0.0) ** 0.5)

    @property
    def missing_rate(self) -> float:
        return self.missing / self.rows if self.rows else 0.0

    @property
    def unseen_rate(self) -> float:
        return self.unseen / self.rows if self.rows else 0.0

    @property
    def typical(self) -> float | str | None:
        """The most frequent category, or a number from the middle: the edge nearest to the median."""
        if not self.known:
            return None
        counts = np.array(self.counts)
        if self.kind == "categorical":
            return self.categories[int(np.argmax(counts))]
        if not self.edges:
            return self.mean
        middle = int(np.searchsorted(np.cumsum(counts), self.known / 2))
        return self.edges[min(middle, len(self.edges) - 1)]

    def share(self, category: str) -> float | None:
        """The share of rows in that category; None without rows."""
        if not self.rows or category not in self.categories:
            return None
        return self.counts[self.categories.index(category)] / self.rows

    def plus(self, other: ColumnProfile) -> ColumnProfile:
        if (self.kind, self.edges, self.categories) != (other.kind, other.edges, other.categories):
            raise ValueError("profiles with different frozen edges cannot be added: they belong to different champions")
        return ColumnProfile(
            kind=self.kind,
            edges=self.edges,
            categories=self.categories,
            counts=tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            missing=self.missing + other.missing,
            unseen=self.unseen + other.unseen,
            rows=self.rows + other.rows,
            total=_rounded(self.total + other.total),
            squares=_rounded(self.squares + other.squares),
        )


@dataclass(frozen=True)
class Profile:
    """The profiles of all columns of one day, or of the days that were merged."""

    columns: Mapping[str, ColumnProfile]

    @property
    def rows(self) -> int:
        return max((column.rows for column in self.columns.values()), default=0)

    @classmethod
    def of(cls, columns: Mapping[str, object], reference: Profile) -> Profile:
        """Counts `columns` into the reference's frozen bins. A column that the reference names must be there."""
        absent = sorted(set(reference.columns) - set(columns))
        if absent:
            raise KeyError(f"columns {absent} are in the reference profile and not in the data")
        return cls({name: _count(columns[name], frozen) for name, frozen in reference.columns.items()})

    @classmethod
    def merge(cls, profiles: Iterable[Profile]) -> Profile:
        """Adds profiles with the same frozen edges, e.g. seven days into a week."""
        parts = list(profiles)
        if not parts:
            raise ValueError("there is no profile to merge")
        merged = dict(parts[0].columns)
        for part in parts[1:]:
            if part.columns.keys() != merged.keys():
                raise ValueError("profiles with different columns cannot be added: they belong to different champions")
            merged = {name: column.plus(part.columns[name]) for name, column in merged.items()}
        return cls(merged)

    def to_table(self, ds: str) -> pa.Table:
        rows = [
            {
                "ds": ds,
                "column": name,
                "kind": column.kind,
                "edges": list(column.edges),
                "categories": list(column.categories),
                "counts": list(column.counts),
                "missing": column.missing,
                "unseen": column.unseen,
                "rows": column.rows,
                "total": column.total,
                "squares": column.squares,
            }
            for name, column in sorted(self.columns.items())
        ]
        return pa.Table.from_pylist(rows, schema=PROFILE_SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table) -> Profile:
        """The inverse of `to_table`, for the rows of one day."""
        return cls({row["column"]: _column_from(row) for row in table.to_pylist()})

    def to_dict(self) -> dict[str, Any]:
        return {
            row["column"]: {key: row[key] for key in row if key not in ("ds", "column")}
            for row in self.to_table("").to_pylist()
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Mapping[str, Any]]) -> Profile:
        return cls({name: _column_from(row) for name, row in stored.items()})


def freeze(columns: Mapping[str, object], kinds: Mapping[str, Kind]) -> Profile:
    """The bins of each column, with nothing counted yet, chosen from the champion's training data.

    Numeric: one bin a value when there are few; else edges at the quantiles (fine where the data are) and evenly
    between the
    0.1% and 99.9% quantile (fine where the data are not). Categorical: the most frequent names, ties by name.
    """
    return Profile({name: _freeze(columns[name], kind) for name, kind in kinds.items()})


def _freeze(values: object, kind: Kind) -> ColumnProfile:
    if kind == "categorical":
        counted = pc.value_counts(_strings(values).drop_null()).to_pylist()
        ordered = sorted(counted, key=lambda entry: (-entry["counts"], entry["values"]))[:MAX_CATEGORIES]
        names = tuple(sorted(entry["values"] for entry in ordered))
        return ColumnProfile("categorical", (), names, (0,) * len(names), 0, 0, 0, 0.0, 0.0)
    numbers = _numbers(values)
    finite = numbers[np.isfinite(numbers)]
    distinct = np.unique(finite)
    if len(distinct) <= FEW_VALUES:
        edges = (distinct[1:] + distinct[:-1]) / 2
    else:
        quantiles = np.quantile(finite, np.linspace(0, 1, QUANTILE_EDGES + 1)[1:-1])
        low, high = np.quantile(finite, [0.001, 0.999])
        edges = np.unique(np.concatenate([quantiles, np.linspace(low, high, UNIFORM_EDGES)]))
    return ColumnProfile(
        "numeric", tuple(float(edge) for edge in edges), (), (0,) * (len(edges) + 1), 0, 0, 0, 0.0, 0.0
    )


def _count(values: object, frozen: ColumnProfile) -> ColumnProfile:
    if frozen.kind == "categorical":
        column = _strings(values)
        positions = pc.index_in(column, value_set=pa.array(frozen.categories, pa.string()))
        missing = column.null_count
        known = positions.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
        counts = np.bincount(known, minlength=len(frozen.categories))
        unseen, total, squares = len(column) - missing - len(known), 0.0, 0.0
        rows = len(column)
    else:
        numbers = _numbers(values)
        rows, missing = len(numbers), int(np.isnan(numbers).sum())
        finite = numbers[np.isfinite(numbers)]
        unseen = rows - missing - len(finite)
        places = np.searchsorted(np.asarray(frozen.edges, dtype=np.float64), finite, side="right")
        counts = np.bincount(places, minlength=len(frozen.edges) + 1)
        total, squares = _rounded(float(finite.sum())), _rounded(float((finite * finite).sum()))
    return ColumnProfile(
        kind=frozen.kind,
        edges=frozen.edges,
        categories=frozen.categories,
        counts=tuple(int(count) for count in counts),
        missing=missing,
        unseen=unseen,
        rows=rows,
        total=total,
        squares=squares,
    )


def _numbers(values: Any) -> np.ndarray:
    """As float64 with missing as NaN."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return np.asarray(values.cast(pa.float64()), dtype=np.float64)
    return np.asarray(values, dtype=np.float64)


def _strings(values: Any) -> pa.Array:
    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column.cast(pa.string())


def _rounded(value: float) -> float:
    """Ten significant digits: a sum's last bits depend on the processor's vector width, and a profile's digest must
    not.
    """
    return float(f"{value:.10g}")


def _column_from(row: Mapping[str, Any]) -> ColumnProfile:
    return ColumnProfile(
        kind=row["kind"],
        edges=tuple(row["edges"] or ()),
        categories=tuple(row["categories"] or ()),
        counts=tuple(row["counts"] or ()),
        missing=row["missing"],
        unseen=row["unseen"],
        rows=row["rows"],
        total=row["total"],
        squares=row["squares"],
    )
