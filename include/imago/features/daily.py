"""What each day holds as a whole: its rows, and per column the shares of missing and of unseen values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from imago import ledger
from imago.contracts import Contract
from imago.days import days_between, shift
from imago.ledger import publications
from imago.tables import Table

if TYPE_CHECKING:
    import pandas as pd

SEEN_DAYS = 28  # a value that no day of four weeks holds is unseen
WEEKS = 8  # what is usual on a weekday is the median of so many of them before
FEWEST_WEEKS = 3  # and with fewer than these nothing is known to be usual


@dataclass(frozen=True, kw_only=True)
class History:
    """What the published days before say: the `rows` of each, and the `values` that a column held on each. On the days
    in `warmup` shares are not judged."""

    rows: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, frozenset[Any]]] = field(default_factory=dict)
    warmup: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Days:
    """The numbers of each day, by name and day; None where there is nothing to judge by.

    `numbers` has `rows`, `of_weekday`, `missing_{column}` and `unseen_{column}`; `counts` the rows behind each share;
    `usual` the weekday's median of rows; `unseen` the unseen values themselves, of columns that are not personal.
    """

    days: tuple[str, ...]
    numbers: dict[str, dict[str, float | None]]
    counts: dict[str, dict[str, int]]
    usual: dict[str, float]
    unseen: dict[str, dict[str, tuple[Any, ...]]]

    def frame(self) -> pd.DataFrame:
        """The numbers as a table of one row per day."""
        import pandas as pd

        columns = {name: [told[ds] for ds in self.days] for name, told in self.numbers.items()}
        frame = pd.DataFrame(columns, dtype="float64")
        frame.insert(0, "ds", list(self.days))
        return frame


def history(table: Table, contract: Contract, days: tuple[str, ...], *, world_begins: str) -> History:
    """What the table's published days before `days` say; reads only the columns that are judged by it."""
    first = days[0]
    warmup = frozenset(ds for ds in days if ds < shift(world_begins, contract.warmup_days))
    before = days_between(shift(first, -7 * WEEKS), shift(first, -1))
    with ledger.connect(table.environment).connect() as connection:
        known = publications.latest(connection, table.model, table.name, before)
    rows = {ds: row["rows"] for ds, row in known.items()}
    columns = [column.name for column in contract.columns if column.max_unseen is not None]
    recent = sorted(ds for ds in known if ds >= shift(first, -SEEN_DAYS))
    if not columns or not recent or warmup.issuperset(days):
        return History(rows=rows, warmup=warmup)
    found = table.read(recent, columns=["ds", *columns])
    values = {column: _by_day(found, column) for column in columns}
    return History(
        rows=rows,
        values={column: {ds: frozenset(held) for ds, held in told.items()} for column, told in values.items()},
        warmup=warmup,
    )


def days_of(contract: Contract, rows: pa.Table, days: tuple[str, ...], before: History) -> Days:
    """The numbers of each day. Earlier days of the same range are history too, before what was published of them."""
    told = {row["ds"]: row for row in _grouped(contract, rows)}
    counts = {"rows": {ds: told.get(ds, {}).get("rows", 0) for ds in days}}
    numbers: dict[str, dict[str, float | None]] = {"rows": {ds: float(n) for ds, n in counts["rows"].items()}}
    usual = _usual(days, {**before.rows, **counts["rows"]})
    # A day that is empty on purpose is no smaller kind of its weekday.
    judged = [ds for ds in days if ds in usual and (counts["rows"][ds] or not contract.allows_empty)]
    numbers["of_weekday"] = {ds: counts["rows"][ds] / usual[ds] if ds in judged else None for ds in days}
    unseen: dict[str, dict[str, tuple[Any, ...]]] = {}
    for column in contract.columns:
        if column.max_missing is not None:
            name = f"missing_{column.name}"
            counts[name] = {ds: told.get(ds, {}).get(name, 0) for ds in days}
        if column.max_unseen is not None:
            name = f"unseen_{column.name}"
            counts[name], values = _unseen(_by_day(rows, column.name), days, before.values.get(column.name, {}))
            unseen[name] = {} if column.personal else values
    for name in [name for name in counts if name != "rows"]:
        numbers[name] = {
            ds: None if ds in before.warmup or ds not in counts[name] or not counts["rows"][ds]
            else counts[name][ds] / counts["rows"][ds]
            for ds in days
        }  # fmt: skip
    return Days(days=days, numbers=numbers, counts=counts, usual=usual, unseen=unseen)


def _grouped(contract: Contract, rows: pa.Table) -> list[dict[str, Any]]:
    """Of each day the number of rows, and of nulls in each capped column."""
    capped = [column.name for column in contract.columns if column.max_missing is not None]
    nulls = pc.CountOptions(mode="only_null")
    wanted: list[Any] = [([], "count_all"), *((name, "count", nulls) for name in capped)]
    grouped = rows.group_by("ds", use_threads=False).aggregate(wanted)
    names = {"count_all": "rows", **{f"{name}_count": f"missing_{name}" for name in capped}}
    return [{names.get(name, name): value for name, value in row.items()} for row in grouped.to_pylist()]


def _by_day(rows: pa.Table, column: str) -> dict[str, dict[Any, int]]:
    """Of each day the values of a column, with their rows; nulls are no value."""
    grouped = rows.select(["ds", column]).group_by(["ds", column], use_threads=False).aggregate([([], "count_all")])
    found: dict[str, dict[Any, int]] = {}
    for ds, value, count in zip(*(grouped[name].to_pylist() for name in ("ds", column, "count_all")), strict=True):
        if value is not None:
            found.setdefault(ds, {})[value] = count
    return found


def _unseen(
    held: Mapping[str, Mapping[Any, int]], days: Iterable[str], before: Mapping[str, Iterable[Any]]
) -> tuple[dict[str, int], dict[str, tuple[Any, ...]]]:
    """Of each day that has a history, how many rows hold a value that it does not, and these values."""
    counts: dict[str, int] = {}
    values: dict[str, tuple[Any, ...]] = {}
    last_held: dict[Any, str] = {}
    told: list[tuple[str, Iterable[Any]]] = sorted((ds, list(there)) for ds, there in before.items())
    for ds, there in told:
        last_held |= dict.fromkeys(there, ds)
    latest = told[-1][0] if told else ""
    for ds in days:
        since = shift(ds, -SEEN_DAYS)
        today = held.get(ds, {})
        if latest >= since:
            new = [value for value in today if last_held.get(value, "") < since]
            counts[ds], values[ds] = sum(today[value] for value in new), tuple(sorted(new, key=str))
        last_held |= dict.fromkeys(today, ds)
        latest = ds
    return counts, values


def _usual(days: Iterable[str], rows: Mapping[str, int]) -> dict[str, float]:
    """The median of rows on the same weekday in the weeks before, for days that have enough of them."""
    usual = {}
    for ds in days:
        same = [rows[earlier] for week in range(1, WEEKS + 1) if rows.get(earlier := shift(ds, -7 * week))]
        if len(same) >= FEWEST_WEEKS:
            usual[ds] = float(median(same))
    return usual
