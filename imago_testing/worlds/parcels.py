"""Parcels of a courier: how many hours will each take? A regression on keys that are UUIDs.

Weight and stops are whole numbers that may be missing. The feature `traffic` lies in the raw files from the first day,
and joins the model half-way: the spec `BEFORE` does not know it. Some parcels are lost and never have a label.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

import numpy as np
import pyarrow as pa

from imago.days import days_between
from imago.specs import Baseline, Candidate, Feature, Guardrails, ModelSpec, Training
from imago_testing.worlds.pipelines import boosting, linear, rule
from imago_testing.worlds.world import MOMENT, Delivery, World, moment, table

# In Sydney the clocks go forward on 1 October.
FIRST, LAST, ZONE = "2023-08-14", "2023-10-29", "Australia/Sydney"
ROWS = 30
DEPOTS = ("North", "Harbour", "West")

BEFORE = ModelSpec(
    name="parcels",
    owner="dispatch",
    description="How many hours does a parcel take? Told at 00:00 of the day on which it leaves.",
    entity_key="parcel",
    problem="regression",
    label="hours",
    label_delay_days=3,
    first_day=FIRST,
    last_day=LAST,
    timezone=ZONE,
    feature_model="parcels_features",
    outcome_model="parcels_outcomes",
    metrics_model="parcels_daily_metrics",
    features=(
        Feature(name="depot", kind="categorical"),
        Feature(name="express", kind="categorical"),
        Feature(name="distance_km", kind="numeric"),
        Feature(name="weight_g", kind="numeric"),
        Feature(name="stops", kind="numeric"),
    ),
    candidates=(
        Candidate(name="linear", build=linear, why="is it distance and stops, added up?"),
        Candidate(name="boosting", build=boosting, why="do depots differ by distance?"),
    ),
    baselines=(
        Baseline(name="mean", build=rule("PriorMean"), why="the mean of all parcels"),
        Baseline(name="by_depot", build=rule("GroupMean", columns=("depot",)), why="the mean of the depot"),
        Baseline(name="best_column", build=rule("BestColumnMean"), why="the one column that tells most"),
    ),
    primary_metric="rmse",
    smallest_effect=0.2,
    guardrails=Guardrails(floor=14.0, ceiling=0.5, max_slice_loss=3.0),
    slices=("depot",),
    training=Training(window_days=365, warmup_days=0, tuning_days=0, holdout_days=7, seed=3),
)
SPEC = BEFORE.model_copy(
    update={"features": (*BEFORE.features, Feature(name="traffic", kind="numeric"))},
)


def files(ds: str) -> tuple[Delivery, ...]:
    """The day's parcels, delivered the evening before, and how long they took, three days later."""
    random = np.random.default_rng([11, days_between(FIRST, max(ds, FIRST)).index(ds)])
    keys = [str(uuid.UUID(bytes=random.bytes(16), version=4)) for _ in range(ROWS)]
    depot, express = random.choice(DEPOTS, ROWS), random.random(ROWS) < 0.3
    distance = np.round(random.gamma(3.0, 60.0, ROWS), 1)
    weight, stops = random.integers(50, 30_000, ROWS), random.integers(1, 40, ROWS)
    traffic = np.round(random.normal(1.0, 0.25, ROWS), 3)
    hours = (
        6 + distance / 25 + 0.35 * stops + weight / 15_000 + 12 * (traffic - 1) + 3 * (depot == "West") - 5 * express
    )
    hours = np.round(np.maximum(hours + random.normal(0, 1.5, ROWS), 0.5), 2)
    key = {"parcel": (keys, pa.string()), "day": ([ds] * ROWS, pa.string())}
    leaves = moment(ds, ZONE, hours=6)
    parcels = {
        **key,
        "event_time": ([leaves + timedelta(minutes=20 * number) for number in range(ROWS)], MOMENT),
        "depot": (depot, pa.string()),
        "express": (express, pa.bool_()),
        "distance_km": (distance, pa.float64()),
        "weight_g": (_with_gaps(weight, random.random(ROWS) < 0.15), pa.int64()),
        "stops": (_with_gaps(stops, random.random(ROWS) < 0.1), pa.int64()),
        "traffic": (traffic, pa.float64()),
    }
    lost = random.random(ROWS) < 0.03
    arrivals = {**key, "hours": (_with_gaps(hours, lost), pa.float64())}
    return (
        Delivery("parcels", ds, moment(ds, ZONE, days=-1, hours=20), table(parcels)),
        Delivery("arrivals", ds, moment(ds, ZONE, days=3, hours=12), table(arrivals)),
    )


def _with_gaps(values: np.ndarray, missing: np.ndarray) -> list[object]:
    return [None if gap else value for gap, value in zip(missing, values.tolist(), strict=True)]


PARCELS = World(
    spec=SPEC,
    files=files,
    trainings=("2023-10-05", "2023-10-15"),
    money="refunds_aud",
    joining="traffic",
    before=BEFORE,
)
