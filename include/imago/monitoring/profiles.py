"""Profiles: what a batch of rows looked like, small enough to keep for ever and mergeable by addition.

A profile holds a histogram for each column. Its edges (or category names) are frozen when the champion is trained
(see `bins`), so that any batches under one champion can be added together and compared with the training data without
going back to rows:

    frozen = freeze(columns, kinds)                            # once per champion
    parts = [Profile.of(batch, frozen) for batch in batches]   # while scoring
    day = Profile.merge(parts)
    week = Profile.merge([day, ...])

The result is the same whatever the batches and their order: counts are integers, and sums are taken over values that
were rounded to a grid of a power of two, which makes every partial sum exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal["numeric", "discrete", "categorical"]

SCORE = "prediction.score"  # a dot keeps them apart from features, whose names are dbt columns
DECISION = "prediction.decision"
CHUNK = 1 << 14  # rows that are sorted at once: they and their copies fit into a processor's cache
FAR = 2.0**16  # spans beyond the centre at which a value counts no further in the sums

# The edges are not stored with each day: they stand in the champion's reference, which the partition's inputs name.
PROFILE_SCHEMA = pa.schema(
    [
        pa.field("ds", pa.string()),
        pa.field("column", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("counts", pa.list_(pa.int64())),
        pa.field("missing", pa.int64()),
        pa.field("unseen", pa.int64()),
        pa.field("rows", pa.int64()),
        pa.field("total", pa.float64()),
        pa.field("squares", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
    ]
)


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one or more batches.

    `edges` has one element less than `counts`: the first and the last bin are open. A `discrete` column has few values,
    and a bin for each. `unseen` counts categories that the reference does not name, and infinite numbers. `total` and
    `squares` are the sums of the finite values' distances from `centre`, and of their squares; `low` and `high` the
    smallest and the largest of them. `rows` = sum(counts) + missing + unseen.
    """

    kind: Kind
    edges: tuple[float, ...]
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    missing: int = 0
    unseen: int = 0
    rows: int = 0
    total: float = 0.0
    squares: float = 0.0
    low: float | None = None
    high: float | None = None

    @property
    def known(self) -> int:
        return self.rows - self.missing - self.unseen

    @property
    def centre(self) -> float:
        return self.edges[len(self.edges) // 2] if self.edges else 0.0

    @property
    def mean(self) -> float | None:
        return self.centre + self.total / self.known if self.kind != "categorical" and self.known else None

    @property
    def deviation(self) -> float | None:
        """Population standard deviation of the finite values."""
        if self.kind == "categorical" or not self.known:
            return None
        away = self.total / self.known
        return float(max(self.squares / self.known - away * away, 0.0) ** 0.5)

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

    @cached_property
    def bins(self) -> tuple[Any, ...]:
        """What rows are counted into: numbers as (edges, grid of the sums, grid of the squares, farthest distance),
        names as the array to look them up in."""
        if self.kind == "categorical":
            return (pa.array(self.categories, pa.string()),)
        edges = np.asarray(self.edges, dtype=np.float64)
        span = float(edges[-1] - edges[0]) if len(edges) > 1 else abs(self.centre) or 1.0
        power = math.floor(math.log2(span))
        return edges, 2.0 ** (power - 24), 2.0 ** (power - 14), span * FAR

    def share(self, category: str) -> float | None:
        """The share of rows in that category; None without rows."""
        if not self.rows or category not in self.categories:
            return None
        return self.counts[self.categories.index(category)] / self.rows


@dataclass(frozen=True)
class Profile:
    """The profiles of all columns of one batch, or of the batches that were merged."""

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
        return cls(
            {
                name: (_names if frozen.kind == "categorical" else _numbers)(columns[name], frozen)
                for name, frozen in reference.columns.items()
            }
        )

    @classmethod
    def merge(cls, profiles: Iterable[Profile]) -> Profile:
        """Adds profiles with the same frozen edges, e.g. the batches of a day, or seven days into a week."""
        parts = list(profiles)
        if not parts:
            raise ValueError("there is no profile to merge")
        if any(part.columns.keys() != parts[0].columns.keys() for part in parts):
            raise ValueError("profiles with different columns cannot be added: they belong to different champions")
        return cls({name: _added([part.columns[name] for part in parts]) for name in parts[0].columns})

    def to_table(self, ds: str) -> pa.Table:
        """The rows of one day, one a column, without the frozen edges and names."""
        rows = [
            {
                "ds": ds,
                "column": name,
                "kind": column.kind,
                "counts": column.counts,
                "missing": column.missing,
                "unseen": column.unseen,
                "rows": column.rows,
                "total": column.total,
                "squares": column.squares,
                "low": column.low,
                "high": column.high,
            }
            for name, column in sorted(self.columns.items())
        ]
        return pa.Table.from_pylist(rows, schema=PROFILE_SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table, reference: Profile) -> Profile:
        """The inverse of `to_table`, for the rows of one day that was counted into the reference's bins."""
        stored = {row.pop("column"): row for row in table.to_pylist()}
        columns = {}
        for name, frozen in reference.columns.items():
            row = stored[name]
            if (row["kind"], len(row["counts"])) != (frozen.kind, len(frozen.counts)):
                raise ValueError(f"{name}: the profile was counted into other bins than the reference has")
            columns[name] = replace(
                frozen,
                counts=tuple(row["counts"]),
                missing=row["missing"],
                unseen=row["unseen"],
                rows=row["rows"],
                total=row["total"],
                squares=row["squares"],
                low=row["low"],
                high=row["high"],
            )
        return cls(columns)

    def to_dict(self) -> dict[str, Any]:
        """All of it, edges and names too, as plain JSON."""
        return {
            name: {key: list(value) if isinstance(value, tuple) else value for key, value in _fields(column).items()}
            for name, column in sorted(self.columns.items())
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Mapping[str, Any]]) -> Profile:
        columns = {}
        for name, row in stored.items():
            fields: dict[str, Any] = {
                key: tuple(given) if isinstance(given, list) else given for key, given in row.items()
            }
            columns[name] = ColumnProfile(**fields)
        return cls(columns)


def _fields(column: ColumnProfile) -> dict[str, Any]:
    return {name: getattr(column, name) for name in ColumnProfile.__dataclass_fields__}


def _added(parts: Sequence[ColumnProfile]) -> ColumnProfile:
    first = parts[0]
    if any((part.kind, part.edges, part.categories) != (first.kind, first.edges, first.categories) for part in parts):
        raise ValueError("profiles with different frozen edges cannot be added: they belong to different champions")
    return replace(
        first,
        counts=tuple(np.array([part.counts for part in parts], dtype=np.int64).sum(axis=0).tolist()),
        missing=sum(part.missing for part in parts),
        unseen=sum(part.unseen for part in parts),
        rows=sum(part.rows for part in parts),
        total=math.fsum(part.total for part in parts),
        squares=math.fsum(part.squares for part in parts),
        low=min((part.low for part in parts if part.low is not None), default=None),
        high=max((part.high for part in parts if part.high is not None), default=None),
    )


# --- counting -----------------------------------------------------------------------------------------------------


def _numbers(values: Any, frozen: ColumnProfile) -> ColumnProfile:
    edges, grid, coarse, far = frozen.bins
    below = np.zeros(len(edges), dtype=np.int64)  # known values below each edge
    rows = known = missing = 0
    total = squares = 0.0
    low, high = math.inf, -math.inf
    for part in _chunks(values):
        # Sorting a chunk and looking up the edges in it is several times quicker than looking up each value.
        ordered = np.sort(part)  # NaN comes last
        rows += len(ordered)
        missing += int(np.isnan(part).sum())
        first, last = np.searchsorted(ordered, [-np.inf, np.nextafter(np.inf, 0)], side="right")
        finite = ordered[first:last]
        if not len(finite):
            continue
        known += len(finite)
        below += np.searchsorted(finite, edges, side="left")
        low, high = min(low, float(finite[0])), max(high, float(finite[-1]))
        away = finite - frozen.centre
        if away[0] < -far or away[-1] > far:
            np.clip(away, -far, far, out=away)
        total += float(np.rint(away * (1 / grid)).sum() * grid)
        rounded = np.rint(away * (1 / coarse))
        np.multiply(rounded, rounded, out=rounded)  # not np.dot: its threads wait for one another on a busy machine
        squares += float(rounded.sum() * coarse * coarse)
    counts = np.diff(below, prepend=0, append=known) if len(edges) else np.array([known])
    return replace(
        frozen,
        counts=tuple(counts.tolist()),
        missing=missing,
        unseen=rows - missing - known,
        rows=rows,
        total=total,
        squares=squares,
        low=low if known else None,
        high=high if known else None,
    )


def _names(values: Any, frozen: ColumnProfile) -> ColumnProfile:
    column = strings(values)
    found = pc.value_counts(column)
    places = pc.index_in(found.field("values"), value_set=frozen.bins[0], skip_nulls=True)
    known = places.is_valid().to_numpy(zero_copy_only=False)
    often = found.field("counts").to_numpy()
    counts = np.zeros(len(frozen.categories), dtype=np.int64)
    counts[places.drop_null().to_numpy()] = often[known]
    missing = column.null_count
    return replace(
        frozen,
        counts=tuple(counts.tolist()),
        missing=missing,
        unseen=len(column) - missing - int(counts.sum()),
        rows=len(column),
    )


def numbers(values: Any) -> np.ndarray:
    """As float64 with missing as NaN."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return np.asarray(values.cast(pa.float64()), dtype=np.float64)
    return np.asarray(values, dtype=np.float64)


def strings(values: Any) -> pa.Array:
    """As one array of text."""
    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column.cast(pa.string())


def _chunks(values: Any) -> Iterator[np.ndarray]:
    column = numbers(values)
    for start in range(0, len(column), CHUNK):
        yield column[start : start + CHUNK]
