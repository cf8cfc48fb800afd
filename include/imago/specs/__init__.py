"""Model specs: what a data scientist writes, validated, and nothing else."""

from imago.specs.model import (
    Baseline,
    BusinessMetric,
    Candidate,
    Drift,
    Feature,
    Guardrails,
    ModelSpec,
    Schedules,
    Training,
    get_model,
)

__all__ = [
    "Baseline",
    "BusinessMetric",
    "Candidate",
    "Drift",
    "Feature",
    "Guardrails",
    "ModelSpec",
    "Schedules",
    "Training",
    "get_model",
]
