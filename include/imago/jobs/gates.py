"""What the gates find of each candidate, before anybody knows who has won."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from imago.environments import Environment
from imago.errors import ModelRefused
from imago.selection import gates
from imago.selection.terms import Check
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from imago.registry import Scorer


def checks_of(
    environment: Environment,
    spec: ModelSpec,
    artifacts: Mapping[str, Mapping[str, Any]],
    scorers: Mapping[str, Scorer],
    truth: np.ndarray,
    predictions: Mapping[str, np.ndarray],
) -> dict[str, list[Check]]:
    """The checks of every candidate in `artifacts` that was loaded and scored; the others have none, and a gate without
    a check was not passed."""
    from imago.dbt import contract_of

    offered = {column.name: column.data_type
               for column in contract_of(spec.feature_model, environment.dbt_target).columns}  # fmt: skip
    limits = spec.guardrails
    return {
        name: [
            gates.check_inputs(scorers[name].features, offered),
            *_rehearsed(environment, spec, artifact),
            gates.check_calibration(spec.problem, truth, predictions[name], limits.max_calibration_error),
        ]
        for name, artifact in artifacts.items()
        if name in predictions
    }


def _rehearsed(environment: Environment, spec: ModelSpec, artifact: Mapping[str, Any]) -> list[Check]:
    from imago.registry.rehearsal import rehearse

    try:
        seen = rehearse(environment, artifact)
    except ModelRefused as error:
        return [Check(gates.FRESH, False, error.message)]
    limits = spec.guardrails
    return [
        gates.check_answers(seen.answers, seen.golden, spec.problem),
        gates.check_at_most(
            gates.TIME, seen.milliseconds, limits.max_predict_ms, "ms of processor time per 1,000 rows"
        ),
        gates.check_at_most(gates.MEMORY, seen.memory_mb, limits.max_predict_memory_mb, "MiB at most"),
    ]
