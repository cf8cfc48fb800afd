"""A stationary world drawn from a seed: columns of every kind, a model that needs some more than others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from imago.days import days_between, shift
from imago.monitoring.drift import Concern, Verdict, judge, looked_at, verdicts
from imago.monitoring.profiles import DECISION, SCORE, Profile
from imago.monitoring.reference import Reference, fit_reference
from imago.specs import Drift

FIRST = "2013-01-01"
TRAINED, HELD = 120, 30  # days
GRADES = 10
IMPORTANCE = {
    "x0": 0.1,
    "skewed": 0.05,
    "grade": 0.05,
    "x1": 0.02,
    "hour": 0.01,
    "sparse": 0.002,
    "gate": 0.0,
    "x2": 0.0,
}
KINDS = {name: "categorical" if name in ("grade", "gate") else "numeric" for name in IMPORTANCE}
DRIFT = Drift()


@dataclass(frozen=True)
class Change:
    """What differs from the stationary world."""

    shifted: float = 0.0  # of x0, in its standard deviation
    scaled: float = 1.0  # of the skewed column
    grades: Sequence[float] | None = None  # the chances of the grades
    gone: str | None = None  # a column without any value


STATIONARY = Change()


def rows(count: int, random: np.random.Generator, change: Change = STATIONARY) -> dict[str, object]:
    """So many rows: the features, the score and the decision."""
    x0 = random.normal(size=count) + change.shifted
    skewed = random.gamma(2.0, size=count) * change.scaled
    grade = random.choice(GRADES, count, p=change.grades)
    sparse = np.where(random.random(count) < 0.3, np.nan, random.normal(size=count))
    odds = x0 + 0.5 * (skewed - 2.0) + 0.15 * (grade - 4.5) - 1.0 + random.normal(size=count) * 0.2
    score = 1 / (1 + np.exp(-odds))
    columns: dict[str, object] = {
        "x0": x0,
        "skewed": skewed,
        "grade": pa.array(np.array([f"g{number}" for number in range(GRADES)])[grade]),
        "x1": random.normal(5.0, 3.0, size=count),
        "hour": random.integers(0, 24, count).astype(float),
        "sparse": sparse,
        "gate": pa.array(random.choice(["A", "B", "C"], count, p=[0.6, 0.3, 0.1])),
        "x2": random.lognormal(size=count),
        SCORE: score,
        DECISION: pa.array(np.where(score > 0.5, "true", "false")),
    }
    if change.gone is not None:
        columns[change.gone] = pa.nulls(count, pa.string() if KINDS[change.gone] == "categorical" else pa.float64())
    return columns


def reference_of(count: int, random: np.random.Generator) -> Reference:
    """A reference from 150 days of so many rows, the last 30 of them the holdout."""
    days = days_between(FIRST, shift(FIRST, TRAINED + HELD - 1))
    columns = rows(count * len(days), random)
    return fit_reference(
        identity="drawn", columns=columns, kinds=KINDS, decisions=("false", "true"),  # type: ignore[arg-type]
        days=np.repeat(days, count).tolist(), trained_until=days[TRAINED - 1], importance=IMPORTANCE,
    )  # fmt: skip


class Monitored:
    """Days judged one after another, as monitoring does."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.profiles: dict[str, Profile] = dict(reference.recent)
        self.today = max(self.profiles)
        self._before: set[Concern] = set()
        self.incidents = 0

    def day(self, profile: Profile) -> tuple[Verdict, ...]:
        """Judges one more day; an alarm that the day before had not counts as an incident."""
        self.today = shift(self.today, 1)
        self.profiles[self.today] = profile
        seen = {ds: self.profiles[ds] for ds in looked_at(self.profiles, self.today, DRIFT.confirm)}
        self.profiles = seen
        said = verdicts(judge(self.today, seen, self.reference, DRIFT))
        fired = {one.concern for one in said if one.fired}
        self.incidents += len(fired - self._before)
        self._before = fired
        return said

    def rows(self, columns: Mapping[str, object]) -> tuple[Verdict, ...]:
        """Profiles the rows, and judges them."""
        return self.day(Profile.of(columns, self.reference.profile))


def fired(said: Sequence[Verdict], concern: str) -> list[str]:
    """The columns of a concern that alarms, the first one first."""
    return next((one.columns for one in said if one.concern == concern and one.fired), [])
