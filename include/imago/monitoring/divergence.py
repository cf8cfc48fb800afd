"""How far apart two distributions are, from the counts of their common bins. Pure functions of numbers.

PSI and Jensen-Shannon are taken over at most `GROUPS` groups of about equal reference mass: with many fine bins both
measures would
chiefly count empty ones. Missing values are no group: they have a measure of their own.
"""

from __future__ import annotations

import numpy as np

GROUPS = 10


def group_starts(reference_counts: np.ndarray, groups: int = GROUPS) -> np.ndarray:
    """Index of the first fine bin of each group, such that the groups hold about equal reference mass.

    >>> group_starts(np.array([10, 10, 10, 10]), groups=2).tolist()
    [0, 2]
    """
    total = reference_counts.sum()
    if total == 0 or len(reference_counts) <= 1:
        return np.array([0])
    before = np.concatenate([[0], np.cumsum(reference_counts)[:-1]]) / total
    group = np.floor(before * groups + 1e-9).astype(int)
    return np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))


def grouped(counts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums the fine bins of each group; works on the last axis."""
    return np.add.reduceat(counts, starts, axis=-1)


def shares(counts: np.ndarray) -> np.ndarray:
    """Shares of the groups, with half a row added to each: an empty group then weighs what one row could, not
    infinity.
    """
    padded = np.asarray(counts, dtype=np.float64) + 0.5
    return padded / padded.sum(axis=-1, keepdims=True)


def psi(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Population stability index of group counts, on the last axis: sum of (q - p) ln(q / p). 0 = equal; 0.25 is a
    large shift.
    """
    p, q = shares(reference), shares(current)
    return np.where(_some(current), np.sum((q - p) * np.log(q / p), axis=-1), 0.0)


def jensen_shannon(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance in base 2 (the root of the divergence), 0 to 1, as
    scipy.spatial.distance.jensenshannon(base=2).
    """
    p, q = shares(reference), shares(current)
    middle = (p + q) / 2
    divergence = np.sum(p * np.log2(p / middle) + q * np.log2(q / middle), axis=-1) / 2
    return np.where(_some(current), np.sqrt(np.maximum(divergence, 0.0)), 0.0)


def _some(current: np.ndarray) -> np.ndarray:
    """Whether anything was counted: a column of missing values alone has no shape, and its missing rate says so
    already.
    """
    return np.asarray(current).sum(axis=-1) > 0


def js_of_psi(psi: float) -> float:
    """The Jensen-Shannon distance that goes with a PSI: for small changes PSI = 8 ln 2 times its square. At most 1."""
    return min(float(np.sqrt(psi / (8 * np.log(2)))), 1.0)
