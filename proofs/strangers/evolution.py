"""Drawn lives of tables: columns that join, leave and change their type between publishes, and reads of any version.

Beside each table stands a model of it in plain Python, which knows nothing of Arrow, Parquet or Delta: what each
version holds, and which value another type can hold.
"""

from __future__ import annotations

import copy
import math
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa

from imago.context import RunContext
from imago.errors import RefusedPartition
from imago.tables import Table
from imago.tables.dropping import drop
from proofs.strangers.case import Case, Workplace

RUN = RunContext(run_id="strangers")
KEY = ("customer",)
DAYS = tuple(f"2013-03-{number:02d}" for number in range(1, 6))
# Each column has types of its own: texts of floats are written in more than one way, and are not drawn.
COLUMNS = {
    "spent": ("int32", "int64", "float", "double"),
    "visits": ("int64", "int32", "double"),
    "région": ("string", "int64", "bool", "int32"),
    "last order": ("decimal", "double"),
    "note": ("string",),
}
KINDS: dict[str, pa.DataType] = {
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "decimal": pa.decimal128(12, 2),
}
LIMITS = {"int32": 2**31, "int64": 2**63}


def cases(workplace: Workplace, count: int, seed: int) -> Iterator[Case]:
    """`count` lives, each of a table of its own."""
    for number in range(count):
        draw = random.Random(f"evolution {seed} {number}")
        yield Case(f"table {number}", _life(workplace, draw, f"stranger_{seed}_{number}"), refusable=False)


@dataclass
class Model:
    """What a table holds: its columns with their types, in order, and of each day its columns and rows."""

    columns: dict[str, str] = field(default_factory=dict)
    days: dict[str, tuple[dict[str, str], list[dict[str, Any]]]] = field(default_factory=dict)

    def publish(self, ds: str, kinds: dict[str, str], rows: list[dict[str, Any]]) -> bool:
        """Whether it changed anything."""
        if ds in self.days and repr(self.days[ds]) == repr((kinds, rows)):  # a NaN is not equal to itself
            return False
        self.columns |= kinds
        self.days[ds] = (kinds, rows)
        return True

    def read(self, days: list[str], names: list[str]) -> object:
        """The rows of these days, or which days cannot be read because of which column."""
        found: list[object] = []
        lost: dict[str, str] = {}
        for ds in sorted(set(days) & set(self.days)):
            kinds, rows = self.days[ds]
            for name in names:
                if name in kinds and any(not holds(row[name], kinds[name], self.columns[name]) for row in rows):
                    lost.setdefault(ds, name)
            for row in rows if ds not in lost else ():
                cells = {name: converted(row.get(name), kinds.get(name), self.columns[name]) for name in names}
                found.append((ds, row["customer"], tuple(map(_plain, cells.values()))))
        if lost:
            first, last = min(lost), max(lost)
            return "refused", lost[first], first if first == last else f"{first}..{last}"
        return found


def holds(value: Any, before: str, after: str) -> bool:
    """Whether a value can be put into another type and come back as it was."""
    if value is None or before == after:
        return True
    try:
        there = converted(value, before, after)
        back = converted(there, after, before)
    except (ValueError, OverflowError, ArithmeticError):
        return False
    return back == value or (value != value and back != back)


def converted(value: Any, before: str | None, after: str) -> Any:
    """The value in another type, in Python's own words. Raises ValueError, OverflowError where there is none."""
    if value is None or before is None or before == after:
        return value
    if after in LIMITS:
        whole = int(value) if not isinstance(value, str) else _whole(value)
        if whole != (value if not isinstance(value, str) else whole) or not -LIMITS[after] <= whole < LIMITS[after]:
            raise ValueError(value)
        return whole
    if after == "double":
        return float(value)
    if after == "float":
        return struct.unpack("f", struct.pack("f", float(value)))[0]
    if after == "decimal":
        if not abs(value) < 10**10:
            raise ValueError(value)
        return Decimal(value).quantize(Decimal("0.01"))
    if after == "bool":
        if value not in ((0, 1) if not isinstance(value, str) else ("true", "false")):
            raise ValueError(value)
        return value == "true" if isinstance(value, str) else bool(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _whole(text: str) -> int:
    whole = int(text)
    if str(whole) != text:
        raise ValueError(text)
    return whole


def _plain(value: Any) -> Any:
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def _value(draw: random.Random, kind: str) -> Any:
    if draw.random() < 0.2:
        return None
    if kind in LIMITS:
        top = LIMITS[kind]
        return draw.choice((0, 1, -1, draw.randrange(-99, 99), draw.randrange(-top, top), top - 1, -top))
    if kind == "float":
        return struct.unpack("f", struct.pack("f", draw.choice((0.5, 3.0, -2.0, 0.1, 1e30, float("nan")))))[0]
    if kind == "double":
        return draw.choice((0.5, 3.0, -2.0, 0.1, 2.0**40, 1e300, float("nan"), float("inf"), float(draw.randrange(99))))
    if kind == "bool":
        return draw.random() < 0.5
    if kind == "decimal":
        return Decimal(draw.randrange(-99999, 99999)).scaleb(-2)
    return draw.choice(("7", "-12", "007", "", "true", "false", "naïve", "12 ", "9" * 19, "x" * 40))


def _life(workplace: Workplace, draw: random.Random, name: str) -> Callable[[], tuple[object, object]]:
    def run() -> tuple[object, object]:
        table, model = Table(workplace.environment, name, "features"), Model()
        versions: dict[int | None, Model] = {}
        kinds: dict[str, str] = {}
        actual: list[object] = []
        expected: list[object] = []
        for _ in range(draw.randrange(2, 6)):
            if model.days and draw.random() < 0.06:
                drop(table, actor="strangers")
                model, versions = Model(), {}
            kinds = _next(draw, kinds)
            ds = draw.choice(DAYS)
            rows = [
                {"customer": customer, **{column: _value(draw, kind) for column, kind in kinds.items()}}
                for customer in range(draw.randrange(1, 4))
            ]
            for _ in range(draw.choice((1, 1, 2))):  # the same again changes nothing
                actual.append(_publish(table, ds, kinds, rows))
                expected.append(model.publish(ds, kinds, rows))
            versions[table.version()] = copy.deepcopy(model)
            version = draw.choice([None, *versions])
            of = model if version is None else versions[version]
            days = draw.sample(DAYS, draw.randrange(1, 5))
            asked = draw.sample(list(of.columns), draw.randrange(len(of.columns) + 1))
            actual.append(_read(table, days, asked, version))
            expected.append(of.read(days, asked))
        return actual, expected

    return run


def _next(draw: random.Random, kinds: dict[str, str]) -> dict[str, str]:
    """The columns of the next publish: one joins, one leaves, one changes its type, or nothing happens."""
    kinds, step = dict(kinds), draw.random()
    absent = [column for column in COLUMNS if column not in kinds]
    if not kinds or (step < 0.35 and absent):
        joins = draw.choice(absent)
        kinds[joins] = draw.choice(COLUMNS[joins])
    elif step < 0.5 and len(kinds) > 1:
        del kinds[draw.choice(list(kinds))]
    elif step < 0.9:
        changed = draw.choice(list(kinds))
        kinds[changed] = draw.choice(COLUMNS[changed])
    return dict(sorted(kinds.items()))


def _publish(table: Table, ds: str, kinds: dict[str, str], rows: list[dict[str, Any]]) -> bool:
    data = pa.table(
        {
            "customer": pa.array([row["customer"] for row in rows], pa.int64()),
            "ds": [ds] * len(rows),
            **{name: pa.array([row[name] for row in rows], KINDS[kind]) for name, kind in kinds.items()},
        }
    )
    return bool(table.publish(data, days=[ds], key=KEY, fence=table.draw_fence(), context=RUN).changed)


def _read(table: Table, days: list[str], names: list[str], version: int | None) -> object:
    try:
        rows = table.read(days, columns=["ds", *KEY, *names], version=version)
    except RefusedPartition as refusal:
        step = f"imago run feature_refresh {table.model}" in refusal.next_step
        return "refused" if step else "no next step", refusal.facts["column"], refusal.facts["partition"]
    return [(row["ds"], row["customer"], tuple(_plain(row[name]) for name in names)) for row in rows.to_pylist()]
