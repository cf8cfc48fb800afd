"""From a day's features to its predictions. No storage, no ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from imago.answers import told
from imago.errors import RefusedPartition
from imago.registry.outputs import check_outputs
from imago.specs import ModelSpec


class Scores(Protocol):
    """What scoring needs of a model: its card, and scores as `registry.outputs.scores_of` gives them."""

    @property
    def card(self) -> Mapping[str, Any]: ...
    def predict(self, data: pa.Table) -> np.ndarray: ...


def predict(spec: ModelSpec, scorer: Scores, features: pa.Table, *, model_version: str) -> pa.Table:
    """One row for each feature row, ordered by key: key, ds, event_time, what `told` gives, model_version.

    Nothing else stands in a row, so that the same model on the same features gives the same partition in any run.
    Raises RefusedPartition when a score is not a finite number, ModelRefused when the model's problem or classes are
    not the spec's.
    """
    check_outputs(spec, scorer.card)
    ordered = features.sort_by([(spec.entity_key, "ascending")])
    scores = np.asarray(scorer.predict(ordered), dtype=np.float64)
    finite = np.isfinite(scores) if scores.ndim == 1 else np.isfinite(scores).all(axis=1)
    broken = int(np.count_nonzero(~finite))
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
            **told(spec, scores),
            "model_version": pa.array([model_version] * len(scores), pa.string()),
        }
    )
