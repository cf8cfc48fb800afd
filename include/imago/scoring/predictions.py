"""From a day's features to its predictions. No storage, no ledger."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pyarrow as pa

from imago.errors import RefusedPartition
from imago.specs import ModelSpec


class Scores(Protocol):
    """What scoring needs of a model: one float64 a row."""

    def predict(self, data: pa.Table) -> np.ndarray: ...


def predict(spec: ModelSpec, scorer: Scores, features: pa.Table, *, model_version: str) -> pa.Table:
    """One row for each feature row, ordered by key: key, ds, event_time, score, decision, model_version.

    Nothing else stands in a row, so that the same model on the same features gives the same partition in any run.
    Raises RefusedPartition when a score is not a finite number.
    """
    ordered = features.sort_by([(spec.entity_key, "ascending")])
    scores = np.asarray(scorer.predict(ordered), dtype=np.float64)
    broken = int(np.count_nonzero(~np.isfinite(scores)))
    if broken:
        raise RefusedPartition(
            f"the model gave no finite score for {broken} of {len(scores)} rows",
            model=spec.name,
            table="predictions",
            column="score",
            rule="finite scores",
            rows=broken,
            next_step="look for infinite or missing values in the day's features, or score with another champion",
        )
    return pa.table(
        {
            spec.entity_key: ordered.column(spec.entity_key).cast(pa.string()),
            "ds": ordered.column("ds").cast(pa.string()),
            "event_time": ordered.column(spec.event_time),
            "score": pa.array(scores, pa.float64()),
            "decision": pa.array(scores >= spec.decision_threshold, pa.bool_()),
            "model_version": pa.array([model_version] * len(scores), pa.string()),
        }
    )
