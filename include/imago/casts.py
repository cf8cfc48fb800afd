"""Values in another type, where each comes back from it as it was; pyarrow alone."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


class LossyCast(Exception):
    """Values that another type cannot hold: the `column`, the types `before` and `after`, how many `rows`, and one
    `example` of them."""

    def __init__(self, column: str, before: str, after: str, rows: int, example: Any) -> None:
        super().__init__(f"{column}: {rows} values of {before} are no {after}, such as {example!r}")
        self.column, self.before, self.after, self.rows, self.example = column, before, after, rows, example


def type_name(kind: pa.DataType) -> str:
    """The name of a type; Delta gives strings back as large or view strings, depending on the reader, and the values
    are the same."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{type_name(kind.value_type)}>"
    return str(kind)


def retyped(rows: pa.Table, target: pa.Schema) -> pa.Table:
    """The columns of `target` in its types. Raises LossyCast for the first column of which a value would not come back
    from its new type as it was."""
    return pa.table([as_type(field.name, rows.column(field.name), field.type) for field in target], schema=target)


def as_type(name: str, values: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    """The values of the column `name` in another type. Raises LossyCast."""
    if type_name(values.type) == type_name(target):
        return values.cast(target)
    try:
        cast = _cast(values, target)
        if _are_equal(cast.cast(values.type), values):
            return cast
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    some = values.drop_null().unique()
    lost = [value.as_py() for value in some if not _survives(value, target)] or [some[0].as_py()]
    rows = pc.sum(pc.is_in(values, pa.array(lost, values.type))).as_py() or 1
    raise LossyCast(name, type_name(values.type), type_name(target), rows, lost[0])


def _cast(values: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    # Arrow refuses every integer beyond the digits of a float, also one that the float holds: the way back tells.
    if pa.types.is_decimal(values.type) and pa.types.is_floating(target):
        # Arrow divides: 908.31 becomes 908.3100000000001. The nearest double is that of the text.
        return values.cast(pa.string()).cast(target)
    rounds = pa.types.is_integer(values.type) and pa.types.is_floating(target)
    return values.cast(target, safe=not rounds)


def _are_equal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    same = pc.equal(one, other)
    if pa.types.is_floating(other.type):
        same = pc.or_(same, pc.and_(pc.is_nan(one), pc.is_nan(other)))
    return bool(pc.all(pc.fill_null(same, True), min_count=0).as_py()) and one.null_count == other.null_count


def _survives(value: pa.Scalar, target: pa.DataType) -> bool:
    try:
        alone = pa.chunked_array([pa.array([value.as_py()], value.type)])
        return _are_equal(_cast(alone, target).cast(value.type), alone)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
