"""How much one feature alone tells of the label: the share of the label's variance that lies between groups of it.

Numbers are cut into groups at quantiles, texts are groups already, and a missing value is a group of its own. So one
figure serves numbers and texts, and every problem type: a label of classes counts as one 0/1 label for each class, of
which the one that the feature tells most of speaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

BINS, MOST_GROUPS = 10, 30


@dataclass(frozen=True)
class Groups:
    """Where a feature's values are cut: `bounds` of a number, or the most frequent `values` of a text."""

    bounds: np.ndarray | None
    values: np.ndarray | None

    @classmethod
    def of(cls, column: np.ndarray) -> Groups:
        if column.dtype == object:
            found, rows = np.unique(column, return_counts=True)
            return cls(None, np.sort(found[np.argsort(-rows, kind="stable")[:MOST_GROUPS]]))
        known = column[np.isfinite(column)]
        inner = np.linspace(0, 1, BINS + 1)[1:-1]
        return cls(np.unique(np.quantile(known, inner)) if len(known) else np.empty(0), None)

    def places(self, column: np.ndarray) -> np.ndarray:
        """The group of each row; the last one holds missing numbers, or rarer texts."""
        if self.values is not None:
            place = np.searchsorted(self.values, column).clip(max=len(self.values) - 1)
            return np.where(self.values[place] == column, place, len(self.values))
        assert self.bounds is not None
        return np.where(np.isfinite(column), np.searchsorted(self.bounds, column, side="right"), len(self.bounds) + 1)


@dataclass(frozen=True)
class Association:
    """What a feature tells of a label on some rows. `share` of the variance lies between its groups, beyond what
    as many groups of chance would have; `chance` is that of a share as large when the label has nothing to do with the
    feature (F test, corrected for the number of classes)."""

    share: float
    chance: float
    target: int  # the class, as a place in `targets_of`; 0 for a 0/1 label and a number


def targets_of(truth: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """The label as numbers, one column for each that is looked at: the label itself, or each class against the
    others."""
    if classes is None:
        return np.asarray(truth, dtype=float)[:, None]
    return (truth[:, None] == classes[None, :]).astype(float)


def associations(columns: Mapping[str, np.ndarray], targets: np.ndarray) -> dict[str, Association]:
    """Each feature's association with the label on these rows."""
    return {name: _association(Groups.of(column).places(column), targets) for name, column in columns.items()}


def expected(column: np.ndarray, groups: Groups, target: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What the groups of `column` with their mean `target` say of the rows of the same feature in `others`."""
    places = groups.places(column)
    rows = np.bincount(places)
    means = np.bincount(places, weights=target) / np.maximum(rows, 1)
    known = np.where(rows > 0, means, target.mean())
    elsewhere = groups.places(others)
    return np.where(elsewhere < len(known), known[elsewhere.clip(max=len(known) - 1)], target.mean())


def _association(places: np.ndarray, targets: np.ndarray) -> Association:
    rows = np.bincount(places)
    groups, count = int((rows > 0).sum()), len(places)
    if groups < 2 or count <= groups:
        return Association(0.0, 1.0, 0)
    found = []
    for place in range(targets.shape[1]):
        target = targets[:, place]
        whole = float(((target - target.mean()) ** 2).sum())
        if not whole:
            continue
        sums = np.bincount(places, weights=target)
        between = float((sums[rows > 0] ** 2 / rows[rows > 0]).sum() - target.sum() ** 2 / count)
        within = max(whole - between, 1e-12 * whole)
        ratio = (between / (groups - 1)) / (within / (count - groups))
        share = max(0.0, 1 - (within / (count - groups)) / (whole / (count - 1)))
        chance = min(1.0, targets.shape[1] * float(fdtrc(groups - 1, count - groups, ratio)))
        found.append(Association(share, chance, place))
    return max(found, key=lambda one: one.share, default=Association(0.0, 1.0, 0))
