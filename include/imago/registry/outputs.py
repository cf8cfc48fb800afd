"""From a fitted pipeline to one score per row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from imago.errors import SpecError


def scores_of(pipeline: Any, frame: pd.DataFrame, problem: str) -> np.ndarray:
    """`binary`: the probability of 1; `regression`: the predicted value. float64, one per row."""
    if problem == "binary":
        chances = pipeline.predict_proba(frame)
        place = list(pipeline.classes_).index(1)
        return np.asarray(chances[:, place], dtype=np.float64)
    if problem == "regression":
        return np.asarray(pipeline.predict(frame), dtype=np.float64).ravel()
    raise SpecError(
        f"the problem type {problem} has no single score per row",
        allowed="binary, regression",
        seen=problem,
        next_step="state the problem as one of the allowed types",
    )
