"""Customers who come back every day, with labels that look 30 days ahead: does luck promote, and is the error right?

A world of its own, drawn anew for each fight. A customer has a rate of buying that is their own and lasts; a label says
whether they buy within the next 30 days, so the labels of neighbouring days overlap. Models see the rate through errors
that last too: what a fit believes wrongly of a customer, it believes every day. Champion and challenger are two such
models of one quality, so a promotion is luck, and so is a difference: over many worlds its spread is the true standard
error, with which the intervals' own has to agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from imago.selection import Bar, Contestant, Verdict, decide
from imago.selection.bootstrap import differences, standard_error
from imago.selection.units import Units
from imago.selection.worth import difference, worth
from imago.specs import BusinessMetric
from proofs.report import Report

HORIZON, DAYS, CUSTOMERS = 30, 30, 400
WORLDS = 200
BAR = Bar("roc_auc", True, 1e-6)
PRICES = BusinessMetric(name="money", unit="GBP", caught=10.0, false_alarm=-4.0, missed=0.0)


@dataclass(frozen=True)
class World:
    """The rows of one holdout: their units, truth, and the scores of two models of one quality."""

    units: Units
    truth: np.ndarray
    scores: dict[str, np.ndarray]


def drawn(random: np.random.Generator, *, shared: float = 0.0, days: int = DAYS) -> World:
    """A world of so many days, rows ordered by customer and day; `shared` is how much all customers' chances move
    together from one day to the next."""
    rate = random.normal(size=CUSTOMERS)
    weather = shared * random.normal(size=days + HORIZON)
    daily = 1 / (1 + np.exp(-(rate[:, None] - 5.0 + weather)))
    buys = random.random((CUSTOMERS, days + HORIZON)) < daily
    ahead = np.cumsum(np.pad(buys, ((0, 0), (1, 0))), axis=1)
    label = ahead[:, HORIZON : HORIZON + days] > ahead[:, :days]
    scores = {}
    for name in ("champion", "challenger"):
        lasting, of_the_day = random.normal(size=(CUSTOMERS, 1)), random.normal(size=(CUSTOMERS, days))
        scores[name] = (rate[:, None] + 0.8 * lasting + 0.3 * of_the_day).ravel()
    names = np.tile(np.array([f"d{place:03d}" for place in range(days)]), CUSTOMERS)
    units = Units(names, np.repeat(np.arange(CUSTOMERS), days), HORIZON, called="customers")
    return World(units, label.ravel().astype(float), scores)


def fought(world: World, seed: int) -> Verdict:
    entrants = [Contestant("champion", "champion", None), Contestant("naive", "baseline", None),
                Contestant("challenger", "candidate", None)]  # fmt: skip
    scores = {**world.scores, "naive": np.zeros(len(world.truth))}
    return decide(entrants, bar=BAR, units=world.units, truth=world.truth, scores=scores, seed=seed)


@dataclass(frozen=True)
class Luck:
    """What one world gave: whether luck promoted, and for each quantity what it was and what its error was said to be;
    `by_day` is the error of the difference that draws of single days alone would claim."""

    promoted: bool
    seen: dict[str, float]
    claimed: dict[str, float]
    by_day: float


QUANTITIES = ("difference of two AUC", "one AUC", "difference of money")


def lucks(first: int, count: int) -> list[Luck]:
    """The worlds with these numbers; every other one has days on which all customers buy more."""
    return list(_lucks(first, count))


def _lucks(first: int, count: int) -> Iterator[Luck]:
    for number in range(first, first + count):
        world = drawn(np.random.default_rng([2013, number]), shared=0.5 * (number % 2))
        verdict = fought(world, number)
        gap = next(one.difference for one in verdict.rulings if one.role == "candidate" and one.difference)
        truth, scores = world.truth, world.scores
        money = [worth(scores[name] > 0.8, truth, PRICES) for name in ("challenger", "champion")]
        gain = difference(world.units, money[0] - money[1], seed=number)
        alone = differences(
            metric="roc_auc", higher_is_better=True, units=replace(world.units, by="days", horizon=1), truth=truth,
            scores=scores, pairs=[("challenger", "champion")], seed=number, resamples=500,
        )["challenger", "champion"]  # fmt: skip
        champion = next(one.score for one in verdict.rulings if one.role == "champion")
        error = standard_error("roc_auc", world.units, truth, scores["champion"], seed=number)
        values = [gap.estimate, champion, gain.estimate]
        errors = [gap.error, error, gain.error]
        yield Luck(
            verdict.outcome == "promoted",
            {name: float(value or 0.0) for name, value in zip(QUANTITIES, values, strict=True)},
            {name: float(value or 0.0) for name, value in zip(QUANTITIES, errors, strict=True)},
            float(alone.error or 0.0),
        )


def judged(found: list[Luck]) -> Report:
    """The report over all worlds: luck promotes in at most 1 of 20, and each error said lies within 15% of the truth,
    the spread over the worlds."""
    report = Report("customers who come back")
    promoted = sum(luck.promoted for luck in found)
    report.check("luck loses", promoted <= 0.05 * len(found), f"{promoted} of {len(found)} promoted")
    report.say(f"promoted {promoted} of {len(found)}")
    for name in QUANTITIES:
        true = float(np.std([luck.seen[name] for luck in found], ddof=1))
        said = float(np.sqrt(np.mean([luck.claimed[name] ** 2 for luck in found])))
        report.check(f"{name}: the error is right", abs(said / true - 1) <= 0.15, f"{said:.4g} said, {true:.4g} true")
        report.say(f"{name}: standard error {said:.4g}, true {true:.4g}")
    report.say(f"draws of single days would have said {np.mean([luck.by_day for luck in found]):.4g} of the difference")
    return report
