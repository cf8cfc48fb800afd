"""From rows to model inputs: the one place that says what a model sees, in training, in scoring and at the endpoint.

A numeric column becomes float32 with NaN for a missing value; a categorical one becomes text with "" for a missing
value. Both kinds of model file get these very values, which is what makes them comparable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from imago.errors import ModelRefused

MISSING_CATEGORY = ""


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
    return {name: _numbers(name, data[name]) if kind == "numeric" else _texts(data[name]) for name, kind in features}


def frame_of(columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The same inputs as the frame that a scikit-learn pipeline selects its columns from."""
    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})


def _numbers(name: str, column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        raise ModelRefused(
            f"the column {name} is not numeric",
            column=name,
            rule="the model's inputs",
            allowed="integers and floating-point numbers",
            seen=str(column.type),
            next_step="cast the column in the dbt model",
        )
    return np.asarray(column.cast(pa.float64()).to_numpy(**_copying(column)), dtype=np.float32)


def _texts(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    return np.asarray(column.cast(pa.string()).fill_null(MISSING_CATEGORY).to_numpy(**_copying(column)), dtype=object)


def _copying(column: pa.ChunkedArray | pa.Array) -> dict[str, Any]:
    return {} if isinstance(column, pa.ChunkedArray) else {"zero_copy_only": False}
