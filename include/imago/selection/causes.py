"""What a diagnosis speaks of: the rows of the two parts, and a likely cause with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

RUNBOOK = "docs/runbooks/baseline_not_beaten.md"
TITLES = {
    "label_shift": "the label shifted",
    "dead_feature": "a feature is dead",
    "stale_partition": "a partition is stale",
    "lost_join": "a join lost its rows",
    "few_positives": "the holdout is too small to tell",
    "no_signal": "no feature explains the label",
    "broken_relation": "the label no longer follows the features",
}
STEPS = {
    "label_shift": "check whether the label's definition or its source changed; if the world did, train on later days",
    "dead_feature": "mend the source of the named feature, refresh its days, and train again",
    "stale_partition": "deliver the named days anew, refresh their features, and train again",
    "lost_join": "compare the join's keys on both sides, refresh the named days, and train again",
    "few_positives": "judge on more days (holdout_days in the spec), or ask for a larger smallest_effect",
    "no_signal": "check that labels and features are joined by the right key and day, on any single row",
    "broken_relation": "check the key and the day by which the holdout's labels were joined, on any single row",
}


@dataclass(frozen=True)
class Rows:
    """The rows of one part of a snapshot, all aligned: the day, the label, the model's inputs (float with NaN for
    missing, object with "" for missing)."""

    days: np.ndarray
    truth: np.ndarray
    columns: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Cause:
    """A likely cause. `said` is one sentence with the numbers that point to it, `numbers` the same for machines."""

    kind: str
    weight: float
    said: str
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return TITLES[self.kind]

    @property
    def step(self) -> str:
        return f"{STEPS[self.kind]} ({RUNBOOK}#{self.kind.replace('_', '-')})"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "title": self.title, "step": self.step}


def sentence(causes: Sequence[Cause]) -> str:
    """What the alert and the error say."""
    if not causes:
        return "none of the usual causes was found: the candidates may be no better than the rule"
    first, *others = causes
    more = f"; also look at: {', '.join(cause.title for cause in others)}" if others else ""
    return f"likely cause: {first.title}: {first.said}{more}"
