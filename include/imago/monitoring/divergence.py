"""How far apart two distributions are, from the counts of their common bins. Pure functions of numbers.

All work on the last axis and broadcast over the others, so that many windows are compared at once. PSI and
Jensen-Shannon are taken over at most `GROUPS` groups of about equal reference mass: with many fine bins both measures
would chiefly count empty ones. The Wasserstein distance is taken over the fine bins. Missing values are no group: they
have a measure of their own.
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
    # What lies beyond all of the reference joins the last group: one row there must not weigh without bound.
    group = np.minimum(np.floor(before * groups + 1e-9).astype(int), groups - 1)
    return np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))


def grouped(counts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums the fine bins of each group."""
    return np.add.reduceat(counts, starts, axis=-1)


def shares(counts: np.ndarray) -> np.ndarray:
    """Shares of the groups, with half a row added to each: an empty group then weighs what one row could, not
    infinity."""
    padded = np.asarray(counts, dtype=np.float64) + 0.5
    return padded / padded.sum(axis=-1, keepdims=True)


def psi(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Population stability index of group counts: sum of (q - p) ln(q / p). 0 = equal; 0.25 is a large shift."""
    p, q = shares(reference), shares(current)
    return np.where(_some(current), np.sum((q - p) * np.log(q / p), axis=-1), 0.0)


def jensen_shannon(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance in base 2 (the root of the divergence), 0 to 1, as
    scipy.spatial.distance.jensenshannon(base=2)."""
    p, q = shares(reference), shares(current)
    middle = (p + q) / 2
    divergence = np.sum(p * np.log2(p / middle) + q * np.log2(q / middle), axis=-1) / 2
    return np.where(_some(current), np.sqrt(np.maximum(divergence, 0.0)), 0.0)


def wasserstein(
    reference: np.ndarray, current: np.ndarray, edges: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Wasserstein-1 distance in the column's own unit, from the counts of fine bins: the area between the two
    cumulative shares, as scipy.stats.wasserstein_distance. Within a bin the values are taken as evenly spread; `low`
    and `high`, the ends of all values on both sides, close the two open bins.

    >>> edges, ends = np.array([0.0, 1.0, 2.0]), (np.array(0.0), np.array(2.0))
    >>> float(wasserstein(np.array([0, 4, 0, 0]), np.array([0, 0, 4, 0]), edges, *ends))
    1.0
    """
    apart = np.cumsum(_share(current) - _share(reference), axis=-1)[..., :-1]
    zero = np.zeros_like(apart[..., :1])
    left, right = np.concatenate([zero, apart], axis=-1), np.concatenate([apart, zero], axis=-1)
    # Between two edges the distance runs straight from `left` to `right`, crossing zero where their signs differ.
    size = np.abs(left) + np.abs(right)
    crossed = np.divide(left * left + right * right, 2 * size, out=np.zeros_like(size), where=size > 0)
    height = np.where(left * right >= 0, size / 2, crossed)
    return np.sum(height * _widths(edges, low, high, height.shape), axis=-1)


def wasserstein_of_points(reference: np.ndarray, current: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The same for bins that each hold one value, `points` in rising order."""
    apart = np.cumsum(_share(current) - _share(reference), axis=-1)[..., :-1]
    return np.sum(np.abs(apart) * np.diff(points), axis=-1)


def kolmogorov_smirnov(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """The largest distance of the cumulative shares of fine bins, as scipy.stats.ks_2samp."""
    return np.abs(np.cumsum(_share(current) - _share(reference), axis=-1)).max(axis=-1)


def js_of_psi(psi: float) -> float:
    """The Jensen-Shannon distance that goes with a PSI: for small changes PSI = 8 ln 2 times its square. At most 1."""
    return min(float(np.sqrt(psi / (8 * np.log(2)))), 1.0)


def _share(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts, dtype=np.float64)
    return counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1.0)


def _widths(edges: np.ndarray, low: np.ndarray, high: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    inner = np.broadcast_to(np.diff(edges), (*shape[:-1], len(edges) - 1))
    ends = (np.maximum(edges[0] - low, 0.0), np.maximum(high - edges[-1], 0.0))
    first, last = (np.broadcast_to(np.asarray(end)[..., None], (*shape[:-1], 1)) for end in ends)
    return np.concatenate([first, inner, last], axis=-1)


def _some(current: np.ndarray) -> np.ndarray:
    """Whether anything was counted: a column of missing values alone has no shape, and its missing rate says so
    already."""
    return np.asarray(current).sum(axis=-1) > 0
