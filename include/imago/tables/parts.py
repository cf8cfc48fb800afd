"""The rows of a publish, day by day, or a refusal: only the asked days, none without rows, no key twice."""

from __future__ import annotations

from collections.abc import Mapping
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
    order = ("ds", *(name for name in key if name != "ds"))
    rising = strictly_rising(data, order)
    ordered = data if rising else in_order(data, order)
    parts: dict[str, pa.Table] = {}
    start = 0
    for ds in days:
        part = ordered.slice(start, counts.get(ds, 0))
        start += part.num_rows
        if not part.num_rows and not allow_empty:
            raise RefusedPartition(
                "the partition has no rows", **where, partition=ds, rule="rows > 0", seen=0, rows=0,
                next_step="check that the day's raw files have landed",
            )  # fmt: skip
        if not rising:
            _check_keys(part, ds, key, where)
        parts[ds] = part
    return parts


def _check_keys(part: pa.Table, ds: str, key: tuple[str, ...], where: Mapping[str, Any]) -> None:
    repeated = part.num_rows - part.group_by(list(key), use_threads=False).aggregate([]).num_rows
    if repeated:
        raise RefusedPartition(
            "keys stand twice", **where, partition=ds, column=", ".join(key), rule="unique key", rows=repeated,
            next_step="remove the duplicates where the rows are made",
        )  # fmt: skip
