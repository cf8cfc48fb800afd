"""Tickets of a help desk: which queue will solve each? A multiclass problem on text keys that hold anything.

`mood` is null for the whole first month and often after it, and the forest learns from that. The queue of a day is
known at 23:00 of that very day, so the label's delay is 0.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa

from imago.days import days_between, shift
from imago.specs import Baseline, Candidate, Feature, Guardrails, ModelSpec, Training
from imago_testing.worlds.pipelines import forest, linear, rule
from imago_testing.worlds.world import MOMENT, Delivery, World, moment, table

FIRST, LAST, ZONE = "2025-03-01", "2025-05-15", "Asia/Kolkata"
ROWS, SILENT_DAYS = 30, 31
QUEUES = ("billing", "hardware", "other")
PRODUCTS = ("Büro/Möbel", "路由器 2", "a 'quoted' name", "100% cotton")
DESKS = ("Zürich", "São Paulo", "मुंबई", "o'Neill & co")

SPEC = ModelSpec(
    name="tickets",
    owner="help-desk",
    description="Which queue will solve a ticket? Told at 00:00 of the day on which it is handled.",
    entity_key="ticket",
    problem="multiclass",
    classes=QUEUES,
    label="queue",
    label_delay_days=0,
    first_day=FIRST,
    last_day=LAST,
    timezone=ZONE,
    feature_model="tickets_features",
    outcome_model="tickets_outcomes",
    metrics_model="tickets_daily_metrics",
    features=(
        Feature(name="product", kind="categorical"),
        Feature(name="channel", kind="categorical"),
        Feature(name="length", kind="numeric"),
        Feature(name="amount", kind="numeric"),
        Feature(name="mood", kind="numeric"),
    ),
    candidates=(
        Candidate(name="forest", build=forest, why="does it tell that a number is missing?"),
        Candidate(name="linear", build=linear, why="is a line enough?"),
    ),
    baselines=(
        Baseline(name="prior", build=rule("PriorRate"), why="the share of each queue"),
        Baseline(name="by_product", build=rule("GroupRate", columns=("product",)), why="the share of the product"),
        Baseline(name="best_column", build=rule("BestColumnRate"), why="the one column that tells most"),
    ),
    primary_metric="log_loss",
    smallest_effect=0.02,
    guardrails=Guardrails(floor=1.09, ceiling=0.05, max_slice_loss=0.5, max_calibration_error=0.25),
    slices=("product",),
    training=Training(window_days=365, warmup_days=0, tuning_days=0, holdout_days=7, seed=5),
)


def files(ds: str) -> tuple[Delivery, ...]:
    """The day's tickets, delivered the evening before, and their queues, late that day."""
    place = days_between(FIRST, max(ds, FIRST)).index(ds)
    random = np.random.default_rng([13, place])
    queue = random.choice(3, ROWS, p=(0.4, 0.35, 0.25))
    # Who writes about money names an amount; what is broken is written about at length.
    amount = np.round(random.lognormal(3 + (queue == 0), 0.6), 2)
    unnamed = random.random(ROWS) < np.array([0.1, 0.7, 0.6])[queue]
    length = random.poisson(random.gamma(3.0, np.array([40.0, 75.0, 45.0])[queue]))
    mood = np.round(random.normal(np.array([-0.2, -0.5, 0.8])[queue], 0.7), 3)
    product = [PRODUCTS[(number + random.choice(4, p=(0.4, 0.3, 0.2, 0.1))) % len(PRODUCTS)] for number in queue]
    quiet = np.ones(ROWS, dtype=bool) if ds < shift(FIRST, SILENT_DAYS) else random.random(ROWS) < 0.2
    desks = random.choice(DESKS, ROWS)
    keys = [f"{desk}/{ds[:4]} {ds[5:]}/№ {number:02d} – ?#%" for number, desk in enumerate(desks)]
    key = {"ticket": (keys, pa.string()), "day": ([ds] * ROWS, pa.string())}
    opens = moment(ds, ZONE, hours=8)
    tickets = {
        **key,
        "event_time": ([opens + timedelta(minutes=15 * number) for number in range(ROWS)], MOMENT),
        "product": (product, pa.string()),
        "channel": (random.choice(("mail", "phone", "web form"), ROWS), pa.string()),
        "length": (length, pa.int64()),
        "amount": (pa.array(amount, pa.float64(), mask=unnamed), pa.float64()),
        "mood": (pa.array(mood, pa.float64(), mask=quiet), pa.float64()),
    }
    routing = {**key, "queue": ([QUEUES[number] for number in queue], pa.string())}
    return (
        Delivery("tickets", ds, moment(ds, ZONE, days=-1, hours=21), table(tickets)),
        Delivery("routing", ds, moment(ds, ZONE, hours=23), table(routing)),
    )


TICKETS = World(spec=SPEC, files=files, trainings=("2025-04-20", "2025-05-01"), money="cost_inr")
