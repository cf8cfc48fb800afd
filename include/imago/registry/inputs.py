"""From rows to model inputs: the one place that says what a model sees, in training, in scoring and at the endpoint.

A numeric column becomes float64 with NaN for a missing value; a categorical one becomes text with "" for a missing
value. Both kinds of model file get these very values, which is what makes them comparable. A number that a double
cannot hold is refused, and never rounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from imago.errors import ModelRefused

MISSING_CATEGORY = ""
LARGEST_WHOLE = 2**53  # beyond it not every whole number is a double
_EXACT = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
_STEPS = {
    "timestamp": "make it a number in the dbt model: days or seconds between it and the row's event time",
    "date32": "make it a number in the dbt model: days between it and the row's event time",
    "decimal128": "cast it to double precision in the dbt model, which says that it may be rounded",
}


def columns_of(
    data: pa.Table | pa.RecordBatch | pd.DataFrame, features: Sequence[tuple[str, str]]
) -> dict[str, np.ndarray]:
    """The model's inputs by name, in order; `features` are (name, "numeric" | "categorical").

    Raises ModelRefused naming the columns that the data does not have, or that are not numbers where a number is due.
    """
    if isinstance(data, pd.DataFrame):
        data = pa.Table.from_pandas(data, preserve_index=False)
    missing = [name for name, _ in features if name not in data.schema.names]
    if missing:
        raise ModelRefused(
            f"the data lacks {len(missing)} of the model's inputs: {', '.join(missing)}",
            column=missing[0],
            rule="the model's inputs",
            next_step="refresh the features with the current dbt model, or roll back to a champion with these inputs",
        )
    return {
        name: _numbers(name, data[name]) if kind == "numeric" else _texts(name, data[name]) for name, kind in features
    }


def frame_of(columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The same inputs as the frame that a scikit-learn pipeline selects its columns from."""
    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})


def check(rows: pa.Table | pa.RecordBatch, features: Sequence[tuple[str, str]], **where: str) -> None:
    """Raises ModelRefused as `columns_of` would, with `where` (environment, model, partition) and without making the
    columns."""
    for name, kind in features:
        if kind == "numeric" and name in rows.schema.names:
            _check_number(name, rows.column(name), **where)


def inexact(column: pa.ChunkedArray | pa.Array) -> pa.BooleanArray | pa.ChunkedArray | None:
    """True for each whole number that a double may round; None where there is none."""
    if not pa.types.is_integer(column.type) or column.type.bit_width < 64:
        return None
    bounds = pc.min_max(column).as_py()
    if bounds["max"] is None or (bounds["max"] <= LARGEST_WHOLE and bounds["min"] >= -LARGEST_WHOLE):
        return None
    beyond = pc.greater(column, pa.scalar(LARGEST_WHOLE, column.type))
    if pa.types.is_signed_integer(column.type):
        beyond = pc.or_(beyond, pc.less(column, pa.scalar(-LARGEST_WHOLE, column.type)))
    return pc.fill_null(beyond, False)


def _check_number(name: str, column: pa.ChunkedArray | pa.Array, **where: str) -> None:
    kind = column.type
    if not any(of(kind) for of in _EXACT):
        raise ModelRefused(
            f"the column {name} is a numeric input and not a number that a double holds exactly",
            column=name,
            rule="the model's inputs",
            allowed="integers, floating-point numbers and booleans",
            seen=str(kind),
            **where,  # type: ignore[arg-type]
            next_step=_STEPS.get(
                re.split(r"[\[(]", str(kind))[0], "declare the feature categorical, or cast it in dbt"
            ),
        )
    beyond = inexact(column)
    if beyond is not None:
        values = column.filter(beyond)
        raise ModelRefused(
            f"the column {name} holds whole numbers that a double would round",
            column=name,
            rule="the model's inputs",
            allowed=f"-{LARGEST_WHOLE} to {LARGEST_WHOLE}",
            seen=", ".join(map(str, pc.unique(values).to_pylist()[:3])),
            rows=len(values),
            **where,
            next_step="declare the feature categorical where it is an identifier, or make it smaller in the dbt model "
            "(a difference, another unit)",
        )


def _numbers(name: str, column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    _check_number(name, column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    return np.asarray(column.cast(pa.float64()).to_numpy(**_copying(column)), dtype=np.float64)


def _texts(name: str, column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    try:
        texts = column.cast(pa.string()).fill_null(MISSING_CATEGORY)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ModelRefused(
            f"the column {name} is a categorical input and cannot be read as text",
            column=name,
            rule="the model's inputs",
            allowed="texts in UTF-8, whole numbers, booleans, dates",
            seen=f"{column.type}: {str(error).splitlines()[0]:.100}",
            next_step="cast the column to varchar in the dbt model",
        ) from error
    return np.asarray(texts.to_numpy(**_copying(column)), dtype=object)


def _copying(column: pa.ChunkedArray | pa.Array) -> dict[str, Any]:
    return {} if isinstance(column, pa.ChunkedArray) else {"zero_copy_only": False}
