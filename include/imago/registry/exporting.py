"""ONNX export, believed only after it was proved.

An export can succeed and be wrong. So one counts only when it gives the pipeline's own scores on every row of the
holdout and on the rows of `probing`; and where it was not proved (see `Proof.largest` and `answering`), the pipeline
itself scores.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imago.registry import predicting, preparing, probing
from imago.registry.answering import Answers
from imago.registry.inputs import frame_of
from imago.registry.outputs import scores_by_row
from imago.registry.writing import Block, Dense, Graph, NotExported, Text, model_bytes

log = logging.getLogger(__name__)

# Sums of a few hundred trees in float32 stay well below this; a wrong export does not.
TOLERANCE = 1e-5
VECTOR = 32  # rows; a multiple of all that processors do at once


@dataclass(frozen=True)
class Proof:
    """`equal` when every row's score is within `tolerance`; `reason` says why there is no ONNX file otherwise. `rows`
    were compared. It holds for numbers of at most the size `largest`. `span` is the range of the holdout's scores."""

    equal: bool
    rows: int
    largest_difference: float | None
    tolerance: float
    reason: str
    largest: float = 0.0
    span: float = 0.0


def unproved(rows: int, reason: str) -> Proof:
    """Why there is nothing to prove."""
    return Proof(False, rows, None, TOLERANCE, reason)


def export(pipeline: Any, features: Sequence[tuple[str, str]], problem: str) -> bytes | str:
    """The ONNX bytes, one input tensor of shape (rows, 1) per column; or, as text, why this pipeline has no export."""
    graph = Graph()
    blocks: list[Block] = [Dense(name, 1) if kind == "numeric" else Text(name) for name, kind in features]
    try:
        *before, last = _steps(pipeline)
        for step in before:
            blocks = preparing.transformed(graph, step, blocks)
        scores = predicting.scored(graph, last, blocks, problem)
        return model_bytes(graph, features, scores, len(last.classes_) if problem == "multiclass" else 1)
    except NotExported as reason:
        return str(reason)
    except Exception as error:  # whatever an estimator's odd settings make of this code: the model is kept as skops
        log.warning("ONNX export of %s failed", type(pipeline).__name__, exc_info=True)
        return f"the export failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _steps(pipeline: Any) -> list[Any]:
    if type(pipeline).__name__ != "Pipeline":
        return [pipeline]
    return [part for _, step in pipeline.steps for part in _steps(step)]


def session_of(model: bytes, threads: int = 1) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(session: Any, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The scores of one batch, from columns as `inputs.columns_of` gives them."""
    return fed(session, {entry.name: columns[entry.name].reshape(-1, 1) for entry in session.get_inputs()})


def fed(session: Any, feed: Mapping[str, np.ndarray]) -> np.ndarray:
    """The scores of one batch, from a graph's inputs.

    onnxruntime computes what is left of a batch beyond whole vectors, and a matrix of one row, by other instructions,
    with other last bits. A row's score must not depend on the company that it came in, so nothing is left.
    """
    rows = len(next(iter(feed.values())))
    lacking = -rows % VECTOR
    if lacking:
        feed = {name: np.concatenate([cells, np.repeat(cells[-1:], lacking, axis=0)]) for name, cells in feed.items()}
    (scores,) = session.run(None, dict(feed))
    return np.asarray(scores[:rows], dtype=np.float64)


def prove(
    model: bytes,
    pipeline: Any,
    features: Sequence[tuple[str, str]],
    columns: Mapping[str, np.ndarray],
    expected: np.ndarray,
    problem: str,
    answers: Answers,
) -> Proof:
    """Whether the ONNX file gives `expected` on the holdout's `columns`, and what the pipeline gives on the rows of
    `probing`: probabilities within `TOLERANCE`, predicted numbers within that share of their range or size."""
    from threadpoolctl import threadpool_limits

    try:
        with threadpool_limits(limits=1):
            return _proof(session_of(model), pipeline, features, columns, expected, problem, answers)
    except Exception as error:  # onnxruntime has no common base for what it says of a graph or of a row
        log.warning("the ONNX export of %s does not run", type(pipeline).__name__, exc_info=True)
        return unproved(len(expected), f"does not run: {type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _proof(
    session: Any,
    pipeline: Any,
    features: Sequence[tuple[str, str]],
    columns: Mapping[str, np.ndarray],
    expected: np.ndarray,
    problem: str,
    answers: Answers,
) -> Proof:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers that overflow, which is what is tried
        comparison = _Comparison(session, pipeline, problem, expected)
        if not comparison.holds(columns, expected):
            return comparison.proof("on the holdout")
        for name, rows in probing.ordinary(pipeline, columns, features, answers):
            if not comparison.holds(rows):
                return comparison.proof(f"on {name}")
        for largest in probing.sizes(columns, features):
            beside = comparison.copy()
            if all(beside.holds(rows) for rows in probing.extreme(columns, features, answers, largest)):
                return beside.proof("", largest)
        return comparison.proof("on numbers beyond the holdout")


class _Comparison:
    def __init__(self, session: Any, pipeline: Any, problem: str, holdout: np.ndarray) -> None:
        self.session, self.pipeline, self.problem = session, pipeline, problem
        self.range = float(np.ptp(holdout)) if holdout.size else 0.0
        self.rows, self.largest = 0, 0.0

    def copy(self) -> _Comparison:
        beside = _Comparison(self.session, self.pipeline, self.problem, np.empty(0))
        beside.range, beside.rows, beside.largest = self.range, self.rows, self.largest
        return beside

    def holds(self, columns: Mapping[str, np.ndarray], expected: np.ndarray | None = None) -> bool:
        if not len(next(iter(columns.values()))):
            return expected is None  # nothing of this kind to try; but a holdout has rows
        if expected is None:
            expected = scores_by_row(self.pipeline, frame_of(columns), self.problem)
        scores = run(self.session, columns)
        if scores.shape != expected.shape:
            raise ValueError(f"scores of shape {scores.shape} where {expected.shape} is right")
        self.rows += len(expected)
        self.largest = max(self.largest, difference(scores, expected, self.problem, self.range))
        return self.largest <= TOLERANCE

    def proof(self, where: str, largest: float | None = None) -> Proof:
        if largest is None:
            what = f"up to {self.largest:.2g}" if np.isfinite(self.largest) else "whether there is a score"
            shown = self.largest if np.isfinite(self.largest) else None
            return Proof(False, self.rows, shown, TOLERANCE, f"differs from the pipeline by {what}, {where}")
        reason = "proved equal on the holdout and on rows beyond it"
        return Proof(True, self.rows, self.largest, TOLERANCE, reason, largest, self.range)


def difference(scores: np.ndarray, expected: np.ndarray, problem: str, span: float) -> float:
    """The largest distance of two models' scores; infinite where only one of them has a score."""
    if not scores.size:
        return 0.0
    if not np.array_equal(np.isfinite(scores), np.isfinite(expected)):
        return float("inf")
    scale = np.maximum(np.abs(expected), span or 1.0) if problem == "regression" else np.ones_like(expected)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(scores - expected) / scale
    return float(np.max(np.where(np.isfinite(expected), apart, 0.0), initial=0.0))
