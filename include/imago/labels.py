"""From a label column to the numbers that models learn from and metrics are taken against."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imago.errors import ImagoError
from imago.specs import ModelSpec


def truth_of(column: pa.ChunkedArray | pa.Array, spec: ModelSpec) -> np.ndarray:
    """float64: 0 or 1 (`binary`), the class's place in the spec's `classes` (`multiclass`), the number (`regression`).

    The column has no nulls. Raises ImagoError naming the value that the problem does not know.
    """
    if spec.problem == "multiclass":
        places = pc.index_in(column.cast(pa.string()), value_set=pa.array(spec.classes, pa.string()))
        if places.null_count:
            strangers = pc.unique(column.filter(pc.is_null(places))).to_pylist()
            raise _refused(spec, "classes", ", ".join(spec.classes), strangers)
        return _numbers(places)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)):
        raise _refused(spec, "problem", f"numbers for {spec.problem}", column.type)
    values = _numbers(column)
    if not np.isfinite(values).all():
        raise _refused(spec, "problem", f"finite numbers for {spec.problem}", values[~np.isfinite(values)][:1].tolist())
    if spec.problem == "binary" and not np.isin(values, (0.0, 1.0)).all():
        raise _refused(spec, "problem", "0 and 1 for binary", values[~np.isin(values, (0.0, 1.0))][:1].tolist())
    return values


def _numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    return np.asarray(column.cast(pa.float64()), dtype=np.float64)


def _refused(spec: ModelSpec, field: str, allowed: str, seen: object) -> ImagoError:
    return ImagoError(
        f"the label {spec.label} holds what the spec's {field} does not name",
        model=spec.name,
        column=spec.label,
        rule=field,
        allowed=allowed,
        seen=seen,
        next_step=f"correct the label in {spec.outcome_model}, or {field} in the spec",
    )
