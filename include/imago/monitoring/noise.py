"""How large a measure grows while nothing is wrong: the bound that a model's own past gives, for an alert budget.

What alarms is what stays: the smaller of two windows that end on consecutive days (one more or less by the spec). So
the past is asked for the same thing: for each day of it the smallest measure of those windows. Of these values are kept
the mean, the spread, the largest, and how many of them are independent: the measure of a column that moves slowly takes
few independent values in half a year, and the bound knows that.

The tail beyond the past is taken from a Gamma distribution with that mean and spread, which is what PSI follows when
days differ by sampling alone (there it is chi-squared over the rows). The bound is widened for a short past as a
t distribution is wider than a normal one, and moves with the sample size: what sampling adds to a measure shrinks with
the rows of the day, what days really differ by does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

LEAST_HISTORY = 14  # values below which there is no past to speak of
WIDEST = 30.0  # times the spread: a past of two or three states says nothing about a tail
QUARTER = 91  # days


@dataclass(frozen=True)
class Noise:
    """What a measure came to over the past. `values` is how many there were, `independent` how many that is worth.
    `sampled` is the share of `mean` that sampling alone explains at `rows` rows a window. A measure that grows with a
    difference of shares, and not with its square, is kept squared: `bound` takes the root again."""

    values: int
    independent: float
    mean: float
    spread: float
    largest: float
    sampled: float
    rows: float

    def bound(self, rare: float, rows: float, power: float) -> float:
        """The value that a healthy window of `rows` rows exceeds with a chance of `rare`; 0 without a past. `power`
        is that of `noise_of`."""
        if self.values < LEAST_HISTORY or self.mean <= 0:
            return 0.0
        tail = _gamma_tail(self.mean, self.spread, rare)
        reach = max(tail - self.mean, 0.0) * _widening(round(self.independent, 1), rare)
        reach = min(reach, WIDEST * max(self.spread, self.mean))
        size = 1.0 - self.sampled + self.sampled * self.rows / max(rows, 1.0)
        return float((max(self.mean + reach, self.largest) * size) ** power)


def noise_of(values: np.ndarray, *, confirm: int, power: float, sampled: float, rows: float) -> Noise:
    """The noise of one measure from its value on each day of the past, NaN where there is none. `power` is 1 for a
    measure like PSI, 0.5 for one like the Wasserstein distance."""
    there = np.asarray(values, dtype=np.float64)
    kept = smallest_of(there[np.isfinite(there)] ** (1.0 / power), confirm)
    if len(kept) < LEAST_HISTORY:
        return Noise(len(kept), 0.0, 0.0, 0.0, 0.0, sampled, rows)
    # The spread is that of a sample of so many independent values: they share the mean that it is taken from.
    independent = _independent(kept)
    spread = float(kept.std() * np.sqrt(independent / max(independent - 1.0, 0.5)))
    # Rounded as it is stored, so that a bound is the same before and after.
    return from_list(
        as_list(Noise(len(kept), independent, float(kept.mean()), spread, float(kept.max()), sampled, rows))
    )


def smallest_of(values: np.ndarray, windows: int) -> np.ndarray:
    """The smallest of each `windows` values in a row."""
    if len(values) < windows:
        return values[:0]
    return np.lib.stride_tricks.sliding_window_view(values, windows).min(axis=-1)


def rare_of(budget: float, tests: int) -> float:
    """The chance a test has for a false alert, when `tests` of them a day may give `budget` in a quarter."""
    return budget / (QUARTER * max(tests, 1))


def as_list(noise: Noise) -> list[float]:
    return [float(f"{value:.6g}") for value in vars(noise).values()]


def from_list(stored: list[float]) -> Noise:
    return Noise(int(stored[0]), *stored[1:])


def _independent(values: np.ndarray) -> float:
    """How many independent values a series is worth, by the correlation of each with the one before (as for an AR(1)
    process)."""
    away = values - values.mean()
    spread = float((away * away).sum())
    if spread <= 0:
        return float(len(values))
    near = float((away[1:] * away[:-1]).sum()) / spread
    near = min(max(near, 0.0), 0.99)
    return max(len(values) * (1 - near) / (1 + near), 1.0)


@cache
def _gamma_tail(mean: float, spread: float, rare: float) -> float:
    from scipy.special import gammainccinv

    if spread <= 0:
        return mean
    shape = (mean / spread) ** 2
    return float(gammainccinv(shape, rare) * spread * spread / mean)


@cache
def _widening(independent: float, rare: float) -> float:
    from scipy.special import ndtri, stdtrit

    freedom = max(independent - 1.0, 1.0)
    return float(stdtrit(freedom, 1 - rare) / ndtri(1 - rare) * np.sqrt(1 + 1 / max(independent, 1.0)))
