"""Model specs: what a data scientist writes, validated, and nothing else."""

from imago.specs.hosted import get_model, hosted_models
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
)
from imago.specs.scoring import Scoring
from imago.specs.search import Choice, Range, Search

__all__ = [
    "Baseline",
    "BusinessMetric",
    "Candidate",
    "Choice",
    "Drift",
    "Feature",
    "Guardrails",
    "ModelSpec",
    "Range",
    "Schedules",
    "Scoring",
    "Search",
    "Training",
    "get_model",
    "hosted_models",
]
