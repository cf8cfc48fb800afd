"""The gate of slices: better overall must not be bought with a part of the rows.

A candidate does not pass when it is worse than its opponent on a slice by more than is allowed, and surely so: the
upper bound of the difference on that slice lies below 0. On few rows nothing is sure, so such slices are named in a
warning and stop nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imago.selection.bootstrap import RESAMPLES, differences
from imago.selection.terms import Check
from imago.selection.units import Units

GATE = "slices"
LEAST_ROWS = 200
LEAST_OF_EACH_CLASS = 20
_OF_CLASSES = ("roc_auc", "average_precision")  # not defined on one class


def check_slices(
    *,
    metric: str,
    higher_is_better: bool,
    units: Units,
    truth: np.ndarray,
    scores: Mapping[str, np.ndarray],
    slices: Mapping[str, np.ndarray],
    candidates: Sequence[str],
    opponent: str,
    allowed_loss: float,
    seed: int,
    resamples: int = RESAMPLES,
) -> tuple[dict[str, list[Check]], list[str]]:
    """One check for each candidate, and what could not be judged, one sentence each.

    `slices` maps a column to each row's value (text; "" for a missing one), all arrays aligned. `allowed_loss` is in
    the metric's unit. A slice with enough rows on which a difference cannot be told (scores that are not finite) is
    not passed.
    """
    losses: dict[str, list[str]] = {name: [] for name in candidates}
    few = []
    for column, values in sorted(slices.items()):
        for value in np.unique(values):
            rows = values == value
            label = f"{column}={value or '(missing)'}"
            if not _enough(metric, units.at(rows), truth[rows]):
                few.append(f"{label} ({rows.sum()} rows)")
                continue
            found = differences(
                metric=metric,
                higher_is_better=higher_is_better,
                units=units.at(rows),
                truth=truth[rows],
                scores={name: scores[name][rows] for name in (*candidates, opponent) if name in scores},
                pairs=[(name, opponent) for name in candidates],
                seed=seed,
                resamples=resamples,
                confidence=0.95,  # a loss needs less proof than a WIN
                together=(),  # so would a correction, the more take part
            )
            for name in candidates:
                gap = found[name, opponent]
                if gap.estimate is None or gap.high is None:
                    losses[name].append(f"{label}: no difference to {opponent} could be told")
                elif gap.estimate < -allowed_loss and gap.high < 0:
                    losses[name].append(
                        f"{label}: worse than {opponent} by {-gap.estimate:.4f} {metric} on {rows.sum()} rows, "
                        f"allowed {allowed_loss}"
                    )
    checks = {
        name: [Check(GATE, not found, "; ".join(found) or "no slice is worse than allowed")]
        for name, found in losses.items()
    }
    return checks, [f"too few rows to judge the slices {', '.join(few)}"] if few else []


def _enough(metric: str, units: Units, truth: np.ndarray) -> bool:
    if len(truth) < LEAST_ROWS or units.fault:
        return False
    positive = int((truth > 0.5).sum())
    return metric not in _OF_CLASSES or min(positive, len(truth) - positive) >= LEAST_OF_EACH_CLASS
