"""Is it right when something is wrong? Faults in a drawn world of 1,000 rows a day, and on the real flights.

- Half a deviation in the feature that the model needs most: an alert within two partitions that names it first.
- A column without any value: an alert on the same day.
- A PSI of 0.25 (of the whole population, over the training's tenths) in two further features: found within two
  partitions in at least 95 of 100 worlds.
- The flights of 2013 (at full size): half a deviation in their most needed column, a column gone, February's blizzard
  and July's storms.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imago.monitoring import divergence
from proofs.monitoring import drawn
from proofs.monitoring.drawn import Change, Monitored, fired
from proofs.report import Report

PARTITIONS = 2
WORLDS = 100
SHIFTED = {"small": 25, "full": 100}


def run(url: str, home: Path, size: str) -> Report:
    """Plants each fault in its worlds."""
    report = Report("sharp")
    random = np.random.default_rng(2013)
    reference = drawn.reference_of(1000, random)
    named = [_found(reference, random, Change(shifted=0.5), "x0") for _ in range(SHIFTED[size])]
    for number, days in enumerate(named):
        report.check(
            f"half a deviation, world {number}", days is not None, f"not named first in {PARTITIONS} partitions"
        )
    latest = max(filter(None, named), default=None)
    report.say(f"half a deviation in the most needed feature: named first by day {latest} in {len(named)} worlds")
    for column in drawn.IMPORTANCE:
        said = Monitored(reference).rows(drawn.rows(1000, random, Change(gone=column)))
        report.check(f"{column} gone null", fired(said, "missing_values")[:1] == [column], "not on the same day")
    report.say(f"a column gone null: each of {len(drawn.IMPORTANCE)} on the same day")
    changes = {"skewed": Change(scaled=_scale(random)), "grade": Change(grades=_grades())}
    found = 0
    for number in range(WORLDS):
        column = tuple(changes)[number % len(changes)]
        found += _found(reference, random, changes[column], column, first=False) is not None
    report.check("a PSI of 0.25", found >= 0.95 * WORLDS, f"{found} of {WORLDS}")
    report.say(f"a PSI of 0.25 found within {PARTITIONS} partitions in {found} of {WORLDS} worlds")
    if size == "full":
        from proofs.monitoring import storms

        storms.run(url, home, report)
    return report


def _found(
    reference: drawn.Reference, random: np.random.Generator, change: Change, column: str, *, first: bool = True
) -> int | None:
    """On which day the column is told (as the first one, where asked), after three stationary days; None if not."""
    world = Monitored(reference)
    for _ in range(3):
        if "inputs" in {one.concern for one in world.rows(drawn.rows(1000, random)) if one.fired}:
            return None  # an alarm before there was a reason is none for this one
    for day in range(1, PARTITIONS + 1):
        columns = fired(world.rows(drawn.rows(1000, random, change)), "inputs")
        if columns[:1] == [column] if first else column in columns:
            return day
    return None


def _grades() -> list[float]:
    """Chances of the grades, tilted until their PSI against even ones is 0.25."""
    even = np.full(drawn.GRADES, 1e7)

    def tilted(much: float) -> np.ndarray:
        raw = np.exp(much * np.arange(drawn.GRADES))
        return raw / raw.sum()

    much = _solve(lambda value: float(divergence.psi(even, tilted(value) * 1e8)), 0.0, 1.0)
    return tilted(much).tolist()


def _scale(random: np.random.Generator) -> float:
    """The factor at which the skewed column's PSI over tenths is 0.25."""
    values = random.gamma(2.0, size=1_000_000)
    edges = np.quantile(values, np.linspace(0, 1, 11)[1:-1])

    def apart(factor: float) -> float:
        sides = (np.bincount(np.searchsorted(edges, side), minlength=10) for side in (values, values * factor))
        return float(divergence.psi(*sides))

    return _solve(apart, 1.0, 3.0)


def _solve(apart: object, low: float, high: float) -> float:
    """Where a rising function of one number reaches 0.25."""
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if apart(middle) < 0.25 else (low, middle)  # type: ignore[operator]
    return (low + high) / 2
