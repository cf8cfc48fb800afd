"""ONNX export, believed only after it was proved.

An export can succeed and be wrong: gradient boosting with native categories gives other scores for nearly every row. So
an export counts only when it gives the pipeline's own scores on every row of the holdout.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

log = logging.getLogger(__name__)

# float32 arithmetic over a few hundred trees or a few hundred weights stays well below this; a wrong export does not.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Proof:
    """`equal` when every row's score is within `tolerance`; `reason` says why there is no ONNX file otherwise."""

    equal: bool
    rows: int
    largest_difference: float | None
    tolerance: float
    reason: str


def export(pipeline: Any, features: Sequence[tuple[str, str]], problem: str) -> bytes | str:
    """The ONNX bytes, one input tensor of shape (rows, 1) per column; or, as text, why this pipeline has no export."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    types = [(name, (FloatTensorType if kind == "numeric" else StringTensorType)([None, 1])) for name, kind in features]
    options = None if problem == "regression" else {id(pipeline): {"zipmap": False}}
    try:
        model = convert_sklearn(pipeline, "model", initial_types=types, options=options)
    except (MissingConverter, MissingShapeCalculator) as error:
        return f"no converter: {str(error).strip().splitlines()[0]}"
    except (RuntimeError, NotImplementedError, ValueError, TypeError, KeyError, AttributeError) as error:
        # skl2onnx meets settings that it does not know with whatever its code stumbles over; the model is then kept as
        # skops.
        log.warning("ONNX export of %s failed", type(pipeline).__name__, exc_info=True)
        return f"the export failed: {type(error).__name__}: {str(error).strip().splitlines()[0]:.200}"
    # An ONNX node that reads a column which no other node reads is dropped, with its input; the session tells which are
    # left.
    return bytes(model.SerializeToString())


def session_of(model: bytes, threads: int = 1) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(session: Any, columns: Mapping[str, np.ndarray], problem: str) -> np.ndarray:
    """The scores of one batch, from columns as `inputs.columns_of` gives them."""
    feed = {entry.name: columns[entry.name].reshape(-1, 1) for entry in session.get_inputs()}
    return answers(session.run(None, feed), problem)


def answers(outputs: Sequence[Any], problem: str) -> np.ndarray:
    """The scores among a graph's outputs."""
    if problem == "multiclass":
        return np.asarray(outputs[1], dtype=np.float64)
    return np.asarray(outputs[1][:, 1] if problem == "binary" else outputs[0], dtype=np.float64).ravel()


def prove(model: bytes, columns: Mapping[str, np.ndarray], expected: np.ndarray, problem: str) -> Proof:
    """Whether the ONNX file gives `expected` on all the given rows: probabilities within `TOLERANCE`, predicted numbers
    within that share of their range."""
    found = run(session_of(model), columns, problem)
    if found.shape != expected.shape or not np.isfinite(found).all():
        return Proof(False, len(expected), None, TOLERANCE, "the export gives scores that are missing or not finite")
    scale = (float(np.ptp(expected)) if problem == "regression" and expected.size else 0.0) or 1.0
    largest = float(np.abs(found - expected).max(initial=0.0)) / scale
    equal = largest <= TOLERANCE and len(expected) > 0
    reason = "proved equal on every row" if equal else f"differs from the pipeline by up to {largest:.2g}"
    return Proof(equal, len(expected), largest, TOLERANCE, reason)
