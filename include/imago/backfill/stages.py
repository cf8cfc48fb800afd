"""What a stage writes, and what its events start."""

from __future__ import annotations

# The table that a stage writes, where it writes one.
TABLES = {
    "feature_refresh": "features",
    "outcome_refresh": "outcomes",
    "batch_scoring": "predictions",
    "monitoring": "drift",
    "metric_refresh": "metrics",
    "shadow_scoring": "shadow_predictions",
}
# Scoring starts metric_refresh for a day whose outcomes are there and whose metrics are of other predictions.
STARTS = {
    "feature_refresh": ("batch_scoring",),
    "batch_scoring": ("monitoring", "metric_refresh", "shadow_scoring"),
    "outcome_refresh": ("metric_refresh",),
    "training": ("deployment",),
    "deployment": ("endpoint_deploy",),
}


def cascade(stage: str) -> tuple[str, ...]:
    """The stage and all that its events start, in order.

    >>> cascade("feature_refresh")
    ('feature_refresh', 'batch_scoring', 'monitoring', 'metric_refresh', 'shadow_scoring')
    """
    return (stage, *(name for after in STARTS.get(stage, ()) for name in cascade(after)))
