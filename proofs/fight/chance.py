"""Does luck promote, and does merit? Fights through the real `decide`, on the real flights.

- Retrains: a model is trained again and again on days drawn from its own training days; champion and challenger are two
  such retrains, so a promotion is luck. The holdout is the one that a training of that week would judge on.
- Chance alone: contestants are one model, each blurred by a draw of its own, so that nobody is better; with a smallest
  effect next to nothing, only the interval stands between luck and a promotion.
- Power: the champion is blurred until the challenger is better by exactly twice the smallest effect. A blur is drawn
  for each row, and for each airline and day, as a late morning of one airline would have it.
- Beyond sight: the champion lacks the weather instead, a lead that comes and goes with single days. No rule can see
  twice the smallest effect then on so few days; this one has to say so, and must not promote by luck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
from imago.selection.units import Units
from imago.specs import Candidate, ModelSpec
from imago.training import fitting, snapshot
from imago.training.cut import Cut, cut
from imago_models.flight_delays import WEATHER
from proofs.flights import SPEC, rows
from proofs.report import Report

GROUPS = 50  # of retrains: each has a week, a model and RETRAINS of it
RETRAINS = 8
FIGHTS = 100  # of each kind whose truth is known
WINDOW = 60  # days that a retrain learns from
HOLDOUT = SPEC.training.holdout_days
PAIR, FOUR = "a retrain against a retrain", "a retrain against three retrains"
EQUALS = "equals with next to no smallest effect"
MERITED = ("better by twice the smallest effect", "the same beside two equals of the champion")
BEYOND = "the same lead, but of single days"
WEEKS = days_between("2013-04-03", "2013-12-25")[::7]


@dataclass(frozen=True)
class Fights:
    """How fights of one kind ended. `sure` counts those in which a candidate's lower bound lay above 0, `warned` those
    in which the smallest effect was said to be too small for the holdout, `errors` are the standard errors."""

    kind: str
    fought: int = 0
    promoted: int = 0
    sure: int = 0
    warned: int = 0
    errors: tuple[float, ...] = ()

    def __add__(self, other: Fights) -> Fights:
        return Fights(
            self.kind, self.fought + other.fought, self.promoted + other.promoted, self.sure + other.sure,
            self.warned + other.warned, (*self.errors, *other.errors),
        )  # fmt: skip

    def with_one(self, verdict: Verdict) -> Fights:
        gaps = [one.difference for one in verdict.rulings if one.role == "candidate" and one.difference]
        sure = any(gap.low is not None and gap.low > 0 for gap in gaps)
        warned = any("standard errors" in text for text in verdict.warnings)
        errors = tuple(gap.error for gap in gaps if gap.error is not None)
        return self + Fights(self.kind, 1, verdict.outcome == "promoted", sure, warned, errors)

    @property
    def error(self) -> float:
        """The mean standard error of a difference on these holdouts."""
        return float(np.mean(self.errors)) if self.errors else float("nan")


def share(hits: int, tries: int) -> str:
    """`3 of 200 (1.5%, 95% interval 0.3% to 4.3%)`, after Clopper and Pearson (1934)."""
    low = float(beta.ppf(0.025, hits, tries - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, tries - hits)) if hits < tries else 1.0
    return f"{hits} of {tries} ({hits / tries:.1%}, 95% interval {low:.1%} to {high:.1%})"


def judged(found: Iterable[Fights]) -> Report:
    """The report over all fights. Luck may promote in 1 of 20 (and once, where few are fought), merit has to win in 4
    of 5, and where a lead is beyond sight, 4 of 5 verdicts have to say so."""
    report = Report("chance and merit")
    kinds: dict[str, Fights] = {}
    for one in found:
        kinds[one.kind] = kinds[one.kind] + one if one.kind in kinds else one
    for kind, one in kinds.items():
        promoted, warned = share(one.promoted, one.fought), share(one.warned, one.fought)
        if kind in MERITED:
            report.check(f"{kind}: merit wins", one.promoted >= 0.8 * one.fought, promoted)
        elif kind == BEYOND:
            report.check(f"{kind}: the verdicts say so", one.warned >= 0.8 * one.fought, warned)
        else:
            report.check(f"{kind}: luck loses", one.promoted <= max(1, 0.05 * one.fought), promoted)
        report.say(f"{kind}: promoted {promoted}, warned {warned}, standard error {one.error:.4f}")
    return report


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
    pairs, fours = Fights(PAIR), Fights(FOUR)
    for first in range(0, RETRAINS, 2):
        pairs = pairs.with_one(_fight(spec, holdout, models[first], models[first + 1 : first + 2], naive))
    for first in range(0, RETRAINS, 4):
        fours = fours.with_one(_fight(spec, holdout, models[first], models[first + 1 : first + 4], naive))
    return [pairs, fours]


def _retrained(spec: ModelSpec, folder: Path, where: Cut, one: Candidate, random: np.random.Generator) -> np.ndarray:
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
    # The fight alone: the leak's ceiling and the gates of a model's own are tried elsewhere.
    return decide(
        entrants, bar=replace(bar_of(spec), ceiling=None, gates=()),
        units=Units.of_days(holdout.column("ds").to_numpy()),
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
    """Every day from the end of April on, scored by models that had not seen it: the spec's trees, trees that know no
    weather, and the share of late flights by airline and hour. Scores of trees are log-odds; `group` numbers the
    airline's day."""

    days: np.ndarray
    truth: np.ndarray
    group: np.ndarray
    trees: np.ndarray
    blind: np.ndarray
    naive: np.ndarray

    def drawn(self, random: np.random.Generator) -> np.ndarray:
        """The rows of as many different days as a holdout has."""
        return np.flatnonzero(np.isin(self.days, random.choice(np.unique(self.days), HOLDOUT, replace=False)))

    def blurred(self, amount: float, random: np.random.Generator) -> np.ndarray:
        """The trees' scores under a blur, half of it for each row and half for each airline and day."""
        shared = random.normal(size=int(self.group.max()) + 1)[self.group]
        return self.trees + amount * (random.normal(size=len(self.trees)) + shared)

    def lead(self, other: np.ndarray) -> float:
        """How much better the trees are than other scores, over all days."""
        return float(roc_auc_score(self.truth, self.trees) - roc_auc_score(self.truth, other))


@cache
def pool(folder: Path) -> Pool:
    plan = SPEC.training.model_copy(update={"window_days": WINDOW, "tuning_days": 0, "holdout_days": 7})
    spec = SPEC.model_copy(update={"training": plan})
    trees, hours = named("gradient_boosting", SPEC.candidates), named("carrier_and_hour", SPEC.baselines)
    blind = Candidate(name="blind", build=without_weather, why="knows no weather")
    parts = []
    for ds in ("2013-05-01", "2013-07-10", "2013-09-18", "2013-11-27"):
        where = cut(spec, ds)
        where = replace(where, holdout_last=min(shift(where.holdout_first, 69), "2013-12-30"))
        frozen = _snapshot(rows(folder), where)
        held = frozen.part("holdout")
        scores = [fitting.fit(spec, frozen, one).scores for one in (trees, blind, hours)]
        group = np.char.add(held.column("ds").to_numpy().astype(str), held.column("carrier").to_numpy().astype(str))
        parts.append((held.column("ds").to_numpy(), snapshot.labels(held, spec), group,
                      _odds(scores[0]), _odds(scores[1]), scores[2]))  # fmt: skip
    days, truth, group, *scores = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Pool(days, truth, np.unique(group, return_inverse=True)[1], *scores)


def chance_alone(folder: Path, fights: int, challengers: int, seed: int) -> Fights:
    """Fights among equals."""
    found, held, random = (
        Fights(f"{EQUALS}, {challengers} challengers"),
        pool(folder),
        np.random.default_rng([seed, challengers]),
    )
    for _ in range(fights):
        scores = {name: held.blurred(0.3, random) for name in ("champion", *_challengers(challengers))}
        found = found.with_one(_known(held, scores, random, smallest_effect=1e-6))
    return found


def power(folder: Path, fights: int, challengers: int, seed: int) -> Fights:
    """Fights of a challenger that is better by twice the smallest effect; further challengers are the champion's
    equals."""
    found, held, random = Fights(MERITED[challengers > 1]), pool(folder), np.random.default_rng([seed, challengers, 7])
    amount = _amount(lambda part: held.blurred(part, np.random.default_rng(99)), held)
    for _ in range(fights):
        scores = {name: held.blurred(amount, random) for name in ("champion", *_challengers(challengers))}
        scores["challenger-0"] = held.trees
        found = found.with_one(_known(held, scores, random, smallest_effect=SPEC.smallest_effect))
    return found


def beyond_sight(folder: Path, fights: int, seed: int) -> Fights:
    """Fights for the same lead over a champion that knows less of the weather."""
    found, held, random = Fights(BEYOND), pool(folder), np.random.default_rng([seed, 13])
    amount = _amount(lambda part: _mix(held, part), held)
    for _ in range(fights):
        scores = {"champion": _mix(held, amount), "challenger-0": held.trees}
        found = found.with_one(_known(held, scores, random, smallest_effect=SPEC.smallest_effect))
    return found


def _known(held: Pool, scores: dict[str, np.ndarray], random: np.random.Generator, smallest_effect: float) -> Verdict:
    """A fight on drawn days, against the floor of the spec and without its ceiling."""
    chosen = held.drawn(random)
    seen = {name: values[chosen] for name, values in {**scores, "naive": held.naive}.items()}
    entrants = [Contestant("champion", "champion", None), Contestant("naive", "baseline", None)]
    entrants += [Contestant(name, "candidate", None) for name in scores if name != "champion"]
    return decide(
        entrants, bar=replace(bar_of(SPEC), ceiling=None, gates=(), smallest_effect=smallest_effect),
        units=Units.of_days(held.days[chosen]),
        truth=held.truth[chosen], scores=seen, seed=SPEC.training.seed,
    )  # fmt: skip


def _amount(made: Callable[[float], np.ndarray], held: Pool) -> float:
    """How much of a fault costs twice the smallest effect over all days."""
    low, high = 0.0, 2.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if held.lead(made(middle)) < 2 * SPEC.smallest_effect else (low, middle)
    return (low + high) / 2


def _mix(held: Pool, part: float) -> np.ndarray:
    return (1 - part) * held.trees + part * held.blind


def _challengers(count: int) -> list[str]:
    return [f"challenger-{place}" for place in range(count)]


def named(name: str, among: Any) -> Any:
    return next(one for one in among if one.name == name)


def without_weather(spec: ModelSpec, seed: int) -> Any:
    pipeline = named("gradient_boosting", SPEC.candidates).build(spec, seed)
    prepare = pipeline.steps[0][1]
    prepare.transformers = [
        (name, step, [column for column in columns if column not in WEATHER])
        for name, step, columns in prepare.transformers
    ]
    return pipeline


def _odds(scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))
