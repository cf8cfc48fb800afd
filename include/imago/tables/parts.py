"""The rows of a publish, day by day, or a refusal: only the asked days, none without rows, no key twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imago.errors import RefusedPartition
from imago.tables.order import in_order, strictly_rising


def by_day(
    data: pa.Table, days: tuple[str, ...], key: tuple[str, ...], *, allow_empty: bool, where: Mapping[str, Any]
) -> dict[str, pa.Table]:
    """The rows of each day in the order of `key`. Raises RefusedPartition, with the facts in `where`."""
    counts = {row["values"]: row["counts"] for row in pc.value_counts(data.column("ds")).to_pylist()}
    foreign = sorted((ds for ds in counts if ds not in days), key=str)
    if foreign:
        raise RefusedPartition(
            "rows of other days", **where, column="ds", rule="only the asked days",
            allowed=f"{days[0]} to {days[-1]}", seen=", ".join(map(str, foreign[:5])),
            next_step="filter the staged data to the asked days",
        )  # fmt: skip
    _check_complete(data, key, days, where)
    order = ("ds", *(name for name in key if name != "ds"))
    rising = strictly_rising(data, order)
    ordered = data if rising else in_order(data, order)
    parts: dict[str, pa.Table] = {}
    start = 0
    for ds in days:
        part = ordered.slice(start, counts.get(ds, 0))
        start += part.num_rows
        if not part.num_rows and not allow_empty:
            raise no_rows(ds, where)
        if not rising:
            _check_keys(part, ds, key, where)
        parts[ds] = part
    return parts


def in_turn(
    batches: Iterable[pa.RecordBatch], ds: str, key: tuple[str, ...], where: Mapping[str, Any]
) -> Iterator[pa.RecordBatch]:
    """The batches of one day that have rows, as they come. Raises RefusedPartition for rows of another day and for keys
    that do not rise from row to row."""
    before: pa.Table | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        if not pc.all(pc.equal(batch.column("ds"), ds), skip_nulls=False).as_py():
            raise RefusedPartition(
                "rows of other days", **where, column="ds", rule="only the asked days", allowed=ds,
                next_step="filter the staged data to the asked days",
            )  # fmt: skip
        keys = pa.Table.from_batches([batch]).select(key)
        _check_complete(keys, key, (ds,), where)
        if not strictly_rising(keys if before is None else pa.concat_tables([before, keys]), key):
            raise RefusedPartition(
                "keys do not rise from row to row", **where, partition=ds, column=", ".join(key),
                rule="unique key, in order", next_step="order the rows by their key, and remove the duplicates",
            )  # fmt: skip
        before = keys.slice(keys.num_rows - 1)
        yield batch


def no_rows(ds: str, where: Mapping[str, Any]) -> RefusedPartition:
    """The refusal of a day without rows."""
    return RefusedPartition(
        "the partition has no rows", **where, partition=ds, rule="rows > 0", seen=0, rows=0,
        next_step="check that the day's raw files have landed",
    )  # fmt: skip


def _check_complete(rows: pa.Table, key: tuple[str, ...], days: tuple[str, ...], where: Mapping[str, Any]) -> None:
    for name in key:
        missing = rows.column(name).null_count
        if missing:
            found = days[:1] if "ds" not in rows.column_names else pc.unique(
                rows.column("ds").filter(pc.is_null(rows.column(name)))
            ).to_pylist()  # fmt: skip
            raise RefusedPartition(
                "a part of the key is missing", **where, partition=found[0], column=name, rule="not null",
                allowed="a value in each row", seen="missing", rows=missing,
                next_step=f"leave out the rows without {name} where they are made, or give them a value",
            )  # fmt: skip


def _check_keys(part: pa.Table, ds: str, key: tuple[str, ...], where: Mapping[str, Any]) -> None:
    repeated = part.num_rows - part.group_by(list(key), use_threads=False).aggregate([]).num_rows
    if repeated:
        raise RefusedPartition(
            "keys stand twice", **where, partition=ds, column=", ".join(key), rule="unique key", rows=repeated,
            next_step="remove the duplicates where the rows are made",
        )  # fmt: skip
