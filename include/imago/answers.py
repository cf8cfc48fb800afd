"""What is stored of a prediction: from scores to the columns of a row, and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from imago.measures import decided
from imago.specs import ModelSpec


def told(spec: ModelSpec, scores: np.ndarray) -> dict[str, pa.Array]:
    """What a prediction says, as columns.

    binary: `score`, the chance of 1, and `decision`, whether that is at least the spec's threshold. multiclass:
    `decision`, the name of the most probable class, `score`, its chance, and `score_{class}` for every class.
    regression: `score`, the predicted number; there is no decision.
    """
    if spec.problem == "regression":
        return {"score": pa.array(scores, pa.float64())}
    place = decided(scores, spec.decision_threshold)
    if spec.problem == "binary":
        return {"score": pa.array(scores, pa.float64()), "decision": pa.array(place == 1, pa.bool_())}
    return {
        "score": pa.array(scores[np.arange(len(scores)), place], pa.float64()),
        "decision": pa.array(np.array(spec.classes, dtype=object)[place], pa.string()),
        **{f"score_{name}": pa.array(scores[:, column], pa.float64()) for column, name in enumerate(spec.classes)},
    }


def scores_in(spec: ModelSpec, rows: pa.Table) -> np.ndarray:
    """The scores that stored predictions were made from: the inverse of `told`."""
    names = [f"score_{name}" for name in spec.classes] or ["score"]
    columns = [rows.column(name).to_numpy() for name in names]
    return np.column_stack(columns) if spec.problem == "multiclass" else np.asarray(columns[0])


def decisions_of(spec: ModelSpec) -> tuple[str, ...]:
    """All that a decision can be, as text; none for a regression."""
    return {"binary": ("false", "true"), "multiclass": spec.classes, "regression": ()}[spec.problem]
