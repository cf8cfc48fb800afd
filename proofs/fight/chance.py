"""Does luck promote, and does merit? Fights whose truth is known, through the real `decide`, on real flights.

- Retrains: a model is trained again and again on days drawn from its own training days; champion and challenger are two
  such retrains, so a promotion is luck. The holdout is the one that a training of that week would judge on.
- Chance alone: two disturbances of one model's scores that come from the same draw, so that neither is better; with the
  smallest effect next to nothing, only the interval stands between luck and a promotion.
- Power: a champion that lacks a part of what the challenger knows, mixed so that the challenger is better by exactly
  twice the smallest effect over the days that the holdouts are drawn from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from imago.days import days_between, shift
from imago.jobs.fight import bar_of
from imago.selection import Contestant, Verdict, decide
from imago.specs import Candidate, ModelSpec
from imago.training import fitting, snapshot
from imago.training.cut import Cut, cut
from proofs.fight.flights import SPEC, rows

GROUPS = 50  # of retrains: each has a week, a model and RETRAINS of it
RETRAINS = 8
WINDOW = 60  # days that a retrain learns from
HOLDOUT = SPEC.training.holdout_days
WEEKS = days_between("2013-04-03", "2013-12-25")[::7]
_WEATHER = ("temperature_f", "humidity_pct", "wind_mph", "gust_mph", "precip_in", "visibility_miles", "pressure_mb")


@dataclass(frozen=True)
class Fights:
    """How fights of one kind ended. `sure` counts those in which a lower bound lay above 0, whatever its size."""

    kind: str
    fought: int = 0
    promoted: int = 0
    sure: int = 0
    spread: tuple[float, ...] = ()  # the estimated differences

    def __add__(self, other: Fights) -> Fights:
        return Fights(
            self.kind, self.fought + other.fought, self.promoted + other.promoted, self.sure + other.sure,
            (*self.spread, *other.spread),
        )  # fmt: skip

    def with_one(self, verdict: Verdict) -> Fights:
        gaps = [one.difference for one in verdict.rulings if one.role == "candidate" and one.difference]
        sure = any(gap.low is not None and gap.low > 0 for gap in gaps)
        told = tuple(float(gap.estimate) for gap in gaps if gap.estimate is not None)
        return self + Fights(self.kind, 1, verdict.outcome == "promoted", sure, told)


def share(hits: int, tries: int) -> str:
    """`3 of 200 (1.5%, 95% interval 0.3% to 4.3%)`, after Clopper and Pearson (1934)."""
    low = float(beta.ppf(0.025, hits, tries - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, tries - hits)) if hits < tries else 1.0
    return f"{hits} of {tries} ({hits / tries:.1%}, 95% interval {low:.1%} to {high:.1%})"


# --- retrains -------------------------------------------------------------------------------------------------------


def retrains(folder: Path, group: int) -> list[Fights]:
    """The fights of one group: each pair of its retrains once, and each four of them as a champion and three
    challengers."""
    ds, one = WEEKS[group * 11 % len(WEEKS)], SPEC.candidates[group % len(SPEC.candidates)]
    plan = SPEC.training.model_copy(update={"window_days": WINDOW, "tuning_days": 0})
    spec = SPEC.model_copy(update={"training": plan, "candidates": (one,)})
    where = cut(spec, ds)
    random = np.random.default_rng([2013, group])
    models = [_retrained(spec, folder, where, one, random) for _ in range(RETRAINS)]
    frozen = _snapshot(rows(folder), where)
    holdout = frozen.part("holdout")
    naive = {rule.name: fitting.fit(spec, frozen, rule).scores for rule in SPEC.baselines[:2]}
    pairs, fours = Fights("pair"), Fights("four")
    for first in range(0, RETRAINS, 2):
        pairs = pairs.with_one(_fight(spec, holdout, models[first], models[first + 1 : first + 2], naive))
    for first in range(0, RETRAINS, 4):
        fours = fours.with_one(_fight(spec, holdout, models[first], models[first + 1 : first + 4], naive))
    return [pairs, fours]


def _retrained(
    spec: ModelSpec, folder: Path, where: Cut, one: Candidate, random: np.random.Generator
) -> np.ndarray:
    """The holdout scores of a true fit on days that were drawn, with replacement, from the training days."""
    year, days = rows(folder), where.days("fit")
    ends = _ends(year)
    drawn = [days[place] for place in sorted(random.integers(0, len(days), len(days)))]
    parts = []
    for slot, day in zip(days, drawn, strict=True):
        part = year.slice(*ends[day])
        parts.append(part.set_column(0, "ds", pa.array([slot] * part.num_rows, pa.string())))
    seed = int(random.integers(0, 2**31))
    again = spec.model_copy(update={"training": spec.training.model_copy(update={"seed": seed})})
    made = pa.concat_tables([*parts, _days(year, where.days("holdout"))])
    return fitting.fit(again, _snapshot(made, where), one).scores


def _fight(
    spec: ModelSpec, holdout: pa.Table, champion: np.ndarray, challengers: list[np.ndarray],
    naive: dict[str, np.ndarray],
) -> Verdict:  # fmt: skip
    scores = {"champion": champion, **{f"challenger-{place}": values for place, values in enumerate(challengers)}}
    entrants = [Contestant("champion", "champion", None)]
    entrants += [Contestant(name, "candidate", None) for name in scores if name != "champion"]
    entrants += [Contestant(name, "baseline", None) for name in naive]
    # The leak's ceiling is another gate's business: in a stormy month an honest model can come near to it.
    return decide(
        entrants, bar=replace(bar_of(spec), ceiling=None), days=np.array(holdout.column("ds").to_pylist()),
        truth=snapshot.labels(holdout, spec), scores={**scores, **naive}, seed=spec.training.seed,
    )  # fmt: skip


def _snapshot(made: pa.Table, where: Cut) -> snapshot.Snapshot:
    return snapshot.Snapshot("drawn", {"cut": where.as_dict(), "digest": "drawn"}, made)


def _ends(year: pa.Table) -> dict[str, tuple[int, int]]:
    """Where a day's rows begin, and how many they are; the rows are ordered by day."""
    days, firsts, counts = np.unique(year.column("ds").to_numpy(), return_index=True, return_counts=True)
    return {str(day): (int(first), int(count)) for day, first, count in zip(days, firsts, counts, strict=True)}


def _days(year: pa.Table, days: tuple[str, ...]) -> pa.Table:
    ends = _ends(year)
    return pa.concat_tables([year.slice(*ends[day]) for day in days])


# --- fights whose truth is known ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pool:
    """Every day from April on, scored by models that had not seen it: one that knows all columns, one that knows no
    weather, and the share of late flights by airline and hour. Scores of models are log-odds."""

    days: np.ndarray
    truth: np.ndarray
    carrier: np.ndarray
    strong: np.ndarray
    weak: np.ndarray
    naive: np.ndarray


@cache
def pool(folder: Path) -> Pool:
    parts: list[tuple[Any, ...]] = []
    for ds in ("2013-05-01", "2013-07-10", "2013-09-18", "2013-11-27"):
        plan = SPEC.training.model_copy(update={"window_days": WINDOW, "tuning_days": 0, "holdout_days": 70})
        spec = SPEC.model_copy(update={"training": plan})
        where = replace(cut(SPEC.model_copy(update={"training": plan.model_copy(update={"holdout_days": 7})}), ds))
        where = replace(where, holdout_first=shift(ds, -7), holdout_last=min(shift(ds, 62), "2013-12-30"))
        frozen = _snapshot(rows(folder), where)
        trees, hours = SPEC.candidates[1], SPEC.baselines[1]
        blind = Candidate(name="blind", build=_without_weather, why="knows no weather")
        strong, weak, naive = (fitting.fit(spec, frozen, one).scores for one in (trees, blind, hours))
        held = frozen.part("holdout")
        parts.append((held.column("ds").to_numpy(), snapshot.labels(held, spec), held.column("carrier").to_numpy(),
                      _odds(strong), _odds(weak), naive))  # fmt: skip
    return Pool(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _without_weather(spec: ModelSpec, seed: int) -> Any:
    pipeline = SPEC.candidates[1].build(spec, seed)
    prepare = pipeline.steps[0][1]
    prepare.transformers = [
        (name, step, [column for column in columns if column not in _WEATHER])
        for name, step, columns in prepare.transformers
    ]
    return pipeline


def _odds(scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def chance_alone(folder: Path, fights: int, challengers: int, seed: int) -> Fights:
    """Fights among equals: every score is the strong model's, disturbed per row and per airline and day alike."""
    found, held = Fights(f"chance-{challengers}"), pool(folder)
    random = np.random.default_rng([seed, challengers])
    for _ in range(fights):
        chosen = _drawn(held, random)
        _, group = np.unique(np.char.add(held.days[chosen].astype(str), held.carrier[chosen].astype(str)),
                             return_inverse=True)  # fmt: skip
        scores = {
            name: held.strong[chosen] + 0.5 * random.normal(size=len(chosen))
            + 0.5 * random.normal(size=group.max() + 1)[group]
            for name in ("champion", *(f"challenger-{place}" for place in range(challengers)))
        }  # fmt: skip
        found = found.with_one(_known(held, chosen, scores, smallest_effect=1e-6))
    return found


def power(folder: Path, fights: int, challengers: int, seed: int) -> Fights:
    """Fights of a challenger that is better by twice the smallest effect; further challengers are the champion's
    equals."""
    found, held = Fights(f"power-{challengers}"), pool(folder)
    lead = 2 * SPEC.smallest_effect
    part = _mixed_for(folder, lead)
    random = np.random.default_rng([seed, challengers, 7])
    for _ in range(fights):
        chosen = _drawn(held, random)
        less = _mix(held, part)[chosen]
        scores = {"champion": less, "challenger-0": held.strong[chosen]}
        scores |= {
            f"challenger-{place}": less + 0.1 * random.normal(size=len(chosen)) for place in range(1, challengers)
        }
        found = found.with_one(_known(held, chosen, scores, smallest_effect=SPEC.smallest_effect))
    return found


def _known(held: Pool, chosen: np.ndarray, scores: dict[str, np.ndarray], smallest_effect: float) -> Verdict:
    entrants = [Contestant("champion", "champion", None), Contestant("naive", "baseline", None)]
    entrants += [Contestant(name, "candidate", None) for name in scores if name != "champion"]
    return decide(
        entrants, bar=replace(bar_of(SPEC), ceiling=None, smallest_effect=smallest_effect), days=held.days[chosen],
        truth=held.truth[chosen], scores={**scores, "naive": held.naive[chosen]}, seed=SPEC.training.seed,
    )  # fmt: skip


def _drawn(held: Pool, random: np.random.Generator) -> np.ndarray:
    """The rows of as many different days as a holdout has."""
    days = np.unique(held.days)
    return np.flatnonzero(np.isin(held.days, random.choice(days, HOLDOUT, replace=False)))


def _mix(held: Pool, part: float) -> np.ndarray:
    return (1 - part) * held.strong + part * held.weak


@cache
def _mixed_for(folder: Path, lead: float) -> float:
    """How much of the weaker model makes the strong one better by `lead` on the mean holdout, to within 0.00005."""
    held, random = pool(folder), np.random.default_rng(99)
    holdouts = [_drawn(held, random) for _ in range(200)]
    strong = np.mean([roc_auc_score(held.truth[chosen], held.strong[chosen]) for chosen in holdouts])
    low, high = 0.0, 1.0
    while high - low > 1e-3:
        part = (low + high) / 2
        mixed = _mix(held, part)
        gap = strong - np.mean([roc_auc_score(held.truth[chosen], mixed[chosen]) for chosen in holdouts])
        low, high = (part, high) if gap < lead else (low, part)
    return (low + high) / 2
