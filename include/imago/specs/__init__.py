"""Model specs: what a data scientist writes, validated, and nothing else."""

from imago.specs.calendar import Calendar
from imago.specs.fallback import BrokenSpec
from imago.specs.hosted import broken_specs, check_specs, get_model, hosted_models, refresh_models
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
    "BrokenSpec",
    "BusinessMetric",
    "Calendar",
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
    "broken_specs",
    "check_specs",
    "get_model",
    "hosted_models",
    "refresh_models",
]
