"""A box shop's customers: each is scored on every open day. Will they cancel within 30 days?

A customer is a number within a store, and each store numbers from 2^53 + 1 on, so neither column names anybody alone
and a number that passes through a double is another customer. About one in twenty-five cancels within 30 days. In the
weeks before they visit less, complain more and buy smaller boxes, of which each tells a part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from imago.days import days_between
from imago.specs import (
    Baseline,
    BusinessMetric,
    Calendar,
    Candidate,
    Feature,
    Guardrails,
    ModelSpec,
    Training,
)
from imago_testing.worlds.pipelines import boosting, linear, rule
from imago_testing.worlds.world import MOMENT, Delivery, World, moment, table

FIRST, LAST, ZONE = "2024-01-08", "2024-05-05", "Europe/London"
STORES, CUSTOMERS_EACH, HORIZON = (1, 2, 12), 60, 30
BEGIN = 2**53 + 1
TIERS = ("bronze", "silver", "gold")

SPEC = ModelSpec(
    name="customers",
    owner="retention",
    description="Will a customer of the box shop cancel within 30 days? Told at 00:00 of each open day.",
    entity_key=("store", "customer"),
    problem="binary",
    label="label",
    label_delay_days=HORIZON,
    first_day=FIRST,
    last_day=LAST,
    timezone=ZONE,
    calendar=Calendar(closed_weekdays=("sunday",)),
    feature_model="customers_features",
    outcome_model="customers_outcomes",
    metrics_model="customers_daily_metrics",
    features=(
        Feature(name="tier", kind="categorical"),
        Feature(name="tenure_days", kind="numeric"),
        Feature(name="visits_28d", kind="numeric"),
        Feature(name="complaints_28d", kind="numeric"),
        Feature(name="basket_gbp", kind="numeric"),
        Feature(name="store_cancel_rate_7d", kind="numeric"),
    ),
    candidates=(
        Candidate(name="linear", build=linear, why="do visits, complaints and baskets add up?"),
        Candidate(name="boosting", build=boosting, why="do thresholds pay?"),
    ),
    baselines=(
        Baseline(name="prior", build=rule("PriorRate"), why="the share of cancellations, for everybody"),
        Baseline(name="by_tier", build=rule("GroupRate", columns=("tier",)), why="the share in this tier"),
        Baseline(name="best_column", build=rule("BestColumnRate"), why="the one column that tells most"),
    ),
    primary_metric="roc_auc",
    smallest_effect=0.01,
    guardrails=Guardrails(floor=0.6, ceiling=0.995, max_slice_loss=0.2),
    slices=("tier",),
    training=Training(window_days=365, warmup_days=0, tuning_days=0, holdout_days=10, seed=7),
    decision_threshold=0.2,
    business=BusinessMetric(
        name="revenue kept by calling",
        unit="GBP",
        caught=30.0,
        false_alarm=-4.0,
        missed=0.0,
        quiet=0.0,
        column="value_gbp",
    ),
)


@dataclass(frozen=True)
class _Person:
    """One customer: when they came (a place among the days, maybe before the first) and when they cancel (or not)."""

    store: int
    number: int
    tier: str
    since: int
    cancels: int | None


@cache
def _people() -> tuple[_Person, ...]:
    """Who was a customer when. Whoever cancels is followed by somebody new, so a day has as many rows as any other."""
    random, length = np.random.default_rng(2024), len(days_between(FIRST, LAST)) + HORIZON + 1
    people = []
    for store in STORES:
        number = BEGIN
        for _ in range(CUSTOMERS_EACH):
            since = -int(random.integers(30, 900))
            while since < length:
                left = max(since, 0) + int(random.exponential(850.0)) + 1
                cancels = left if left < length else None
                people.append(_Person(store, number, str(random.choice(TIERS)), since, cancels))
                since, number = (length if cancels is None else cancels), number + 1
    return tuple(people)


def files(ds: str) -> tuple[Delivery, ...]:
    """The day's subscribers, delivered the evening before, and who of them cancelled, 30 days later."""
    if not SPEC.calendar.is_open(ds):
        return ()
    place = days_between(FIRST, max(ds, FIRST)).index(ds)
    random = np.random.default_rng([7, place])
    present = [one for one in _people() if one.since <= place < (place + 1 if one.cancels is None else one.cancels)]
    count = len(present)
    leaves = np.array([one.cancels is not None and one.cancels <= place + HORIZON for one in present])
    lost = random.random(count) < 0.01
    key = {
        "store": ([one.store for one in present], pa.int64()),
        "customer": ([one.number for one in present], pa.int64()),
        "day": ([ds] * count, pa.string()),
    }
    subscribers = {
        **key,
        "event_time": ([moment(ds, ZONE, hours=9)] * count, MOMENT),
        "tier": ([one.tier for one in present], pa.string()),
        "tenure_days": ([place - one.since for one in present], pa.int64()),
        "visits_28d": (random.poisson(np.where(leaves, 3.5, 8.0)), pa.int64()),
        "complaints_28d": (random.poisson(np.where(leaves, 1.6, 0.4)), pa.int64()),
        "basket_gbp": (np.round(random.lognormal(np.where(leaves, 2.9, 3.4), 0.4), 2), pa.float64()),
    }
    answers = [None if gone else bool(left) for gone, left in zip(lost, leaves, strict=True)]
    cancellations = {**key, "cancelled": (answers, pa.bool_())}
    return (
        Delivery("subscribers", ds, moment(ds, ZONE, days=-1, hours=22), table(subscribers)),
        Delivery("cancellations", ds, moment(ds, ZONE, days=HORIZON, hours=6), table(cancellations)),
    )


CUSTOMERS = World(spec=SPEC, files=files, trainings=("2024-04-22", "2024-05-01"), money="business_value")
