"""From a fitted pipeline to its scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from imago.errors import ModelRefused, SpecError
from imago.specs import ModelSpec


def scores_of(pipeline: Any, frame: pd.DataFrame, problem: str) -> np.ndarray:
    """float64, a row for each row: `binary`, the probability of 1; `multiclass`, that of each class, in columns as the
    spec names them; `regression`, the predicted value. Raises SpecError for a pipeline that cannot say this."""
    if problem == "regression":
        return np.asarray(pipeline.predict(frame), dtype=np.float64).ravel()
    known = [int(one) for one in getattr(pipeline, "classes_", ())]
    if not hasattr(pipeline, "predict_proba") or (problem == "multiclass" and known != list(range(len(known)))):
        raise SpecError(
            f"a {problem} model has to give probabilities of the classes that it was fitted on",
            rule="problem",
            allowed="a scikit-learn classifier with predict_proba",
            seen=type(pipeline.steps[-1][1] if hasattr(pipeline, "steps") else pipeline).__name__,
            next_step="end the pipeline with such a classifier, or state another problem in the spec",
        )
    chances = np.asarray(pipeline.predict_proba(frame), dtype=np.float64)
    return chances if problem == "multiclass" else chances[:, known.index(1)]


def scores_by_row(pipeline: Any, frame: pd.DataFrame, problem: str) -> np.ndarray:
    """`scores_of`, with NaN for each row that the pipeline refuses: scikit-learn refuses a whole batch for one row."""
    try:
        return scores_of(pipeline, frame, problem)
    except ValueError:
        if len(frame) > 1:
            middle = len(frame) // 2
            halves = (frame.iloc[:middle], frame.iloc[middle:])
            return np.concatenate([scores_by_row(pipeline, half, problem) for half in halves])
        classes = len(pipeline.classes_) if problem == "multiclass" else 0
        return np.full((1, classes) if classes else 1, np.nan)


def no_scores(card: Mapping[str, Any]) -> np.ndarray:
    """The scores of no rows, by the model's card."""
    return np.empty((0, len(card["classes"])) if card["problem"] == "multiclass" else 0)


def check_outputs(spec: ModelSpec, card: Mapping[str, Any]) -> None:
    """Raises ModelRefused for a model whose scores mean something else than the spec's: another problem, or other
    classes."""
    for field, ours, theirs in (
        ("problem", spec.problem, str(card["problem"])),
        ("classes", list(spec.classes), list(card.get("classes", ()))),
    ):
        if ours != theirs:
            raise ModelRefused(
                f"the model was trained for another {field} than the spec names",
                model=spec.name,
                rule=field,
                allowed=ours,
                seen=theirs,
                next_step=f"give the spec with other {field} a name of its own: it is another model",
            )
