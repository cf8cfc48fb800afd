"""Customers who come back share their luck from day to day: equal days raise no more alerts than the spec allows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imago import measures
from imago.metrics.cohorts import QUARTER, dropped
from imago.monitoring.estimation import Estimator
from imago.selection.bootstrap import day_error, standard_error
from proofs.fight.returning import CUSTOMERS, DAYS, HORIZON, drawn

BUDGET = 4.0  # false alerts a quarter
WORLDS, LATER = 40, 60
METRIC = "roc_auc"


def drops(estimator: Estimator, days: Iterator[float]) -> int:
    """On how many of these days the rule would alarm."""
    assert estimator.level is not None
    assert estimator.spread is not None
    judged = [
        dropped(
            value, CUSTOMERS, level=estimator.level, spread=estimator.spread, days=estimator.days,
            usual_rows=CUSTOMERS, least=0.0, budget=BUDGET, lower_is_better=False, level_error=estimator.level_error,
        )
        for value in days
    ]  # fmt: skip
    return sum(one is not None for one in judged)


def test_equal_days_of_returning_customers_alarm_no_oftener_than_the_spec_allows():
    alarms = np.zeros(2)
    for number in range(WORLDS):
        world = drawn(np.random.default_rng([7, number]), shared=0.5 * (number % 2), days=DAYS + HORIZON + LATER)
        truth, scores = (rows.reshape(CUSTOMERS, -1) for rows in (world.truth, world.scores["champion"]))
        auc = [measures.metric(METRIC, *day) for day in zip(truth.T, scores.T, strict=True)]
        held = np.tile(np.arange(truth.shape[1]) < DAYS, CUSTOMERS)
        seen = (world.units.at(held), world.truth[held], world.scores["champion"][held])
        days = Estimator(
            METRIC, "binary", CUSTOMERS, level=float(np.mean(auc[:DAYS])), spread=float(np.std(auc[:DAYS], ddof=1)),
            days=DAYS,
        )  # fmt: skip
        units = days.with_units(
            day_error=day_error(METRIC, *seen), level_error=standard_error(METRIC, *seen, seed=number)
        )
        alarms += [drops(one, auc[DAYS + HORIZON :]) for one in (days, units)]

    by_days, by_units = alarms / (WORLDS * LATER)
    assert by_days > 3 * BUDGET / QUARTER, "the world is too easy: draws of single days would do"
    assert by_units < 1.4 * BUDGET / QUARTER
