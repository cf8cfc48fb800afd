"""What a fight is spoken of in: who takes part, what the spec asks for, and what is said of each in the end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Role = Literal["champion", "candidate", "baseline"]
Outcome = Literal["promoted", "kept", "blocked", "rejected"]
Standing = Literal["WIN", "TIE", "LOSE", "OUT"]


@dataclass(frozen=True)
class Contestant:
    """One model on the holdout. `score` is the primary metric there, None or NaN when it could not be had.

    `fault` says why the contestant may not win although it has a score (it has seen the holdout, it did not load).
    """

    name: str
    role: Role
    score: float | None
    fault: str | None = None


@dataclass(frozen=True)
class Difference:
    """How much better the first is than the second, in the metric's unit; above 0 is better, also for errors and
    losses. `error` is the standard error of the estimate on this holdout."""

    estimate: float | None
    low: float | None
    high: float | None
    error: float | None = None


@dataclass(frozen=True)
class Check:
    """What one gate found of one candidate. `reason` names what was seen and what is allowed."""

    gate: str
    passed: bool
    reason: str


@dataclass(frozen=True)
class Bar:
    """What the spec asks for. `floor` is the worst score that may reign, `ceiling` the score beyond which a leak is
    suspected; both are values of the metric itself, so with a loss the floor is the larger number. `gates` are the
    names of the gates that a winner has to pass. A bound that is no number would let everybody pass: ValueError."""

    metric: str
    higher_is_better: bool
    smallest_effect: float
    floor: float | None = None
    ceiling: float | None = None
    gates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bounds = [self.smallest_effect, *(bound for bound in (self.floor, self.ceiling) if bound is not None)]
        if self.smallest_effect <= 0 or not all(math.isfinite(bound) for bound in bounds):
            raise ValueError(f"a bar needs finite bounds and a smallest effect above 0, got {self}")

    def gain(self, ours: float, theirs: float) -> float:
        return ours - theirs if self.higher_is_better else theirs - ours

    def below_floor(self, score: float) -> bool:
        return self.floor is not None and self.gain(score, self.floor) < 0

    def beyond_ceiling(self, score: float) -> bool:
        return self.ceiling is not None and self.gain(score, self.ceiling) > 0


@dataclass(frozen=True)
class Ruling:
    """What was said of one contestant, and why, in one sentence."""

    name: str
    role: Role
    score: float | None
    standing: Standing
    reason: str
    difference: Difference | None = None


@dataclass(frozen=True)
class Verdict:
    """The outcome of a fight. `gate` is what decided it: leak, baselines, incumbent, candidates, tripwire, floor,
    fight, order, or the name of a gate that the best winner did not pass. `checks` is what the gates found of each
    candidate, `drawn` what the intervals drew again and again (see `units`)."""

    outcome: Outcome
    gate: str
    challenger: str | None  # the promoted candidate, or the best of those that did not win
    incumbent: str | None
    opponent: str | None  # whom the candidates had to beat
    best_baseline: str | None
    reason: str
    bar: Bar
    rulings: tuple[Ruling, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())
    checks: Mapping[str, tuple[Check, ...]] = field(default_factory=dict)
    drawn: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
