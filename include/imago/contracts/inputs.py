"""The model's input check: do the rows that a model is about to score keep the contract that it was trained under?

A signature of names and types lets NaN, infinity, unknown categories and a unit changed by a thousand through; the
contract does not. The check runs on pyarrow alone, column by column, and counts what it looked at: nothing passes
because there was nothing to check.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imago.casts import LossyCast, as_type, type_name
from imago.contracts.contract import NUMERIC, Column, Contract
from imago.contracts.types import arrow_type
from imago.errors import RefusedPartition

_SHOWN = 5
_LONGEST = 40


@dataclass(frozen=True, kw_only=True)
class Broken:
    """One broken rule. `rows` is how many rows break it; `mask` is true for those, and None where the whole column is
    at fault (missing, of another type), so that no row can be told from another."""

    column: str | None
    rule: str
    allowed: str
    seen: str
    rows: int
    mask: pa.BooleanArray | None = None
    next_step: str | None = None


@dataclass(frozen=True, kw_only=True)
class InputCheck:
    """What a check found: how many `rows` and rules (`checks`) it looked at, and the broken rules in the contract's
    order. `where` are the facts that a refusal carries (environment, model, table, partition)."""

    where: Mapping[str, str]
    rows: int
    checks: int
    broken: tuple[Broken, ...]

    @property
    def counts(self) -> dict[tuple[str | None, str], int]:
        """Broken rows by column and rule."""
        return {(one.column, one.rule): one.rows for one in self.broken}

    @property
    def mask(self) -> pa.BooleanArray:
        """True for each row that breaks any rule; all of them where a whole column is at fault."""
        if any(one.mask is None for one in self.broken):
            return pa.repeat(True, self.rows)
        masks = [one.mask for one in self.broken]
        return reduce(pc.or_, masks) if masks else pa.repeat(False, self.rows)

    def refusal(self, message: str, next_step: str) -> RefusedPartition:
        """The error that says which rule is broken first, and how many others are."""
        worst = self.broken[0]
        others = len(self.broken) - 1
        also = f" (and {others} more: {', '.join(_named(one) for one in self.broken[1:4])})" if others else ""
        return RefusedPartition(
            f"{message}: {_named(worst)}{also}",
            **self.where,
            column=worst.column,
            rule=worst.rule,
            allowed=worst.allowed,
            seen=worst.seen,
            rows=worst.rows,
            next_step=next_step,
        )


def check_inputs(
    contract: Contract, rows: pa.Table | pa.RecordBatch, features: Iterable[str], where: Mapping[str, str]
) -> InputCheck:
    """Checks the columns `features` of `rows` against a contract: there, of their type, never null where that is
    promised, allowed values, pattern, finite and in range. Other columns are not looked at.

    A feature that the contract does not know is a broken rule, and so are no rows at all.
    """
    promised = {column.name: column for column in contract.columns}
    checks, broken = 1, []
    if not rows.num_rows:
        broken.append(Broken(column=None, rule="rows > 0", allowed="at least 1", seen="0", rows=0))
    for name in features:
        checks += 1
        fault = _column_fault(name, promised.get(name), rows)
        if fault is not None:
            broken.append(fault)
            continue
        values = rows.column(name)
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        for rule, allowed, mask in _rules(promised[name], values):
            checks += 1
            count = pc.sum(mask).as_py() or 0
            if count:
                seen = _seen(promised[name], values.filter(mask))
                broken.append(Broken(column=name, rule=rule, allowed=allowed, seen=seen, rows=count, mask=mask))
    return InputCheck(where=dict(where), rows=rows.num_rows, checks=checks, broken=tuple(broken))


def as_promised(contract: Contract, rows: pa.RecordBatch, features: Iterable[str]) -> pa.RecordBatch:
    """The rows with each number in the type that the contract promises, where every value of it is the same there. A
    column that changed its type otherwise stays as it is, for `check_inputs` to find."""
    promised = {column.name: arrow_type(column.data_type) for column in contract.columns}
    for name in features:
        place, wanted = rows.schema.get_field_index(name), promised.get(name)
        if place < 0 or wanted is None:
            continue
        values = rows.column(place)
        if type_name(values.type) == type_name(wanted) or not _are_numbers(values.type, wanted):
            continue
        try:
            cast = as_type(name, pa.chunked_array([values]), wanted).combine_chunks()
        except LossyCast:
            continue
        rows = rows.set_column(place, name, cast)
    return rows


def _are_numbers(*kinds: pa.DataType) -> bool:
    return all(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) for kind in kinds)


def _column_fault(name: str, column: Column | None, rows: pa.Table | pa.RecordBatch) -> Broken | None:
    if column is None:
        return Broken(column=name, rule="in the contract", allowed="a promised column", seen=name, rows=rows.num_rows)
    if name not in rows.column_names:
        return Broken(
            column=name, rule="all of the contract's columns", allowed=name, seen="no such column", rows=rows.num_rows
        )
    wanted, seen = arrow_type(column.data_type), rows.schema.field(name).type
    if pa.types.is_dictionary(seen):
        seen = seen.value_type
    if seen != wanted and not (wanted == pa.string() and pa.types.is_large_string(seen)):
        return Broken(column=name, rule="type", allowed=str(wanted), seen=str(seen), rows=rows.num_rows)
    return None


def _rules(column: Column, values: pa.Array) -> Iterable[tuple[str, str, pa.BooleanArray]]:
    """Each rule of single values: its name, what it allows, and true for each row that breaks it."""
    if not column.nullable:
        yield "not null", "no missing value", pc.is_null(values)
    if column.values is not None:
        yield "allowed values", ", ".join(map(str, column.values)), not_among(values, column.values)
    if column.pattern is not None:
        yield "pattern", column.pattern, _unlike(column.pattern, values)
    if column.data_type in NUMERIC and column.values is None:
        broken = pc.invert(pc.is_finite(values))
        if column.at_least is not None:
            broken = pc.or_(broken, pc.less(values, column.at_least))
        if column.at_most is not None:
            broken = pc.or_(broken, pc.greater(values, column.at_most))
        yield "range", f"{column.at_least} to {column.at_most}, finite", pc.fill_null(broken, False)


def not_among(values: pa.Array, allowed: Collection[Any]) -> pa.BooleanArray:
    """True for each value that is there and not an allowed one."""
    if pa.types.is_dictionary(values.type):
        strange = pc.take(not_among(values.dictionary, allowed), values.indices)
        return pc.fill_null(strange, False)
    known = pc.is_in(values, pa.array(list(allowed), values.type))
    return pc.and_(pc.is_valid(values), pc.invert(known))


def _unlike(pattern: str, values: pa.Array) -> pa.BooleanArray:
    # Python's own matching, as the contract promises it, on each value once: Arrow's regular expressions differ.
    coded = values.dictionary_encode()
    whole = re.compile(pattern)
    unlike = pa.array([text is None or whole.fullmatch(text) is None for text in coded.dictionary.to_pylist()])
    return pc.fill_null(pc.take(unlike.cast(pa.bool_()), coded.indices), False)


def _seen(column: Column, values: pa.Array) -> str:
    """What broke a rule, short; never a value of a personal column."""
    if column.personal:
        return "not shown: the column is personal"
    if not values.null_count < len(values):
        return "missing"
    if column.data_type in NUMERIC and column.values is None:
        finite = values.filter(pc.is_finite(values))
        others = len(values) - len(finite)
        parts = [f"{pc.min(finite)} to {pc.max(finite)}"] if len(finite) else []
        return "; ".join([*parts, *([f"{others} not finite"] if others else [])])
    shown = [_short(value) for value in pc.unique(values).to_pylist()[: _SHOWN + 1]]
    return ", ".join([*shown[:_SHOWN], *(["..."] if len(shown) > _SHOWN else [])])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _named(one: Broken) -> str:
    return f"{one.column}: {one.rule}" if one.column else one.rule
