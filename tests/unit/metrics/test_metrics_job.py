from __future__ import annotations

import numpy as np
import pytest
from champion_world import BACKFILL, FIRST, LIVE, ROWS, publish, world_rows
from sqlalchemy import select

from imago import ledger
from imago.days import days_between
from imago.errors import MissingPartition
from imago.jobs import metrics, scoring
from imago.ledger.schema import alerts
from imago.metrics.daily import business_value
from imago.specs import BusinessMetric
from imago.tables import Table


def test_money_is_counted_against_deciding_nothing():
    prices = BusinessMetric(name="saved", unit="USD", caught=300.0, false_alarm=-75.0, missed=-20.0, quiet=1.0)
    labels, decisions = np.array([1, 0, 1, 0]), np.array([True, True, False, False])
    assert business_value(prices, labels, decisions) == 320 - 76


def test_a_day_is_joined_by_key_and_rows_without_an_outcome_are_left_out(reign, toy):
    scoring.score(reign, toy, FIRST, LIVE)
    told = metrics.refresh(reign, toy, FIRST, LIVE)
    assert told["rows"] + told["unlabelled"] == ROWS
    assert told["unlabelled"] > 0
    assert 0.6 < told["roc_auc"] < 1.0
    stored = {
        (row["metric"], row["slice"]): row["value"] for row in Table(reign, "toy", "metrics").require(FIRST).to_pylist()
    }
    assert stored["roc_auc", "all"] == pytest.approx(told["roc_auc"])
    assert stored["business_value", "all"] == told["business_value"]


def test_a_second_run_publishes_no_new_version_and_a_corrected_outcome_does(reign, toy):
    scoring.score(reign, toy, FIRST, LIVE)
    metrics.refresh(reign, toy, FIRST, LIVE)
    assert metrics.refresh(reign, toy, FIRST, BACKFILL)["changed"] is False
    _, outcomes = world_rows([FIRST], seed=77)
    publish(reign, "outcomes", outcomes, [FIRST])
    assert metrics.refresh(reign, toy, FIRST, BACKFILL)["changed"] is True


def test_a_day_without_predictions_is_skipped_with_its_reason(reign, toy):
    assert "nobody scored that day" in metrics.refresh(reign, toy, FIRST, LIVE)["skipped"]


def test_a_day_without_outcomes_says_what_to_run(reign, toy):
    with pytest.raises(MissingPartition, match="outcome_refresh"):
        metrics.refresh(reign, toy, "2013-03-02", LIVE)


def test_the_floor_is_judged_over_several_days_and_alerts_once(reign, toy):
    strict = toy.model_copy(update={"guardrails": toy.guardrails.model_copy(update={"floor": 0.97, "ceiling": 0.99})})
    days = days_between(FIRST, "2013-02-17")
    for ds in days:
        scoring.score(reign, strict, ds, LIVE)
    alarms = [metrics.refresh(reign, strict, ds, LIVE)["alarm"] for ds in days]
    assert alarms == [False] * 6 + [True]
    with ledger.connect(reign).connect() as connection:
        told = connection.execute(select(alerts)).mappings().all()
    assert [(row["rule"], row["ds"]) for row in told] == [("metric_floor", days[-1])]


def test_the_dbt_model_counts_the_same_money_as_is_counted_by_hand(dev):
    from datetime import datetime

    import pyarrow as pa

    from imago_models.flight_delays import FLIGHT_DELAYS

    day, keys = "2013-10-01", [f"2013-10-01-UA{number}-EWR-0515" for number in (1, 2, 3, 4)]
    known = {
        "flight_key": keys,
        "ds": [day] * 4,
        "event_time": pa.array([datetime(2013, 10, 1)] * 4, pa.timestamp("us")),
    }
    files = {}
    for name, columns in (
        ("predictions", {"decision": [True, True, False, True]}),
        ("outcomes", {"label": pa.array([1, 0, 1, None], pa.int32())}),  # the last flight never arrived
    ):
        table = Table(dev, FLIGHT_DELAYS.name, name)
        table.publish(
            pa.table({**known, **columns}), days=[day], key=("flight_key",), fence=table.draw_fence(), context=LIVE
        )
        files[f"{name}_files"] = table.files([day])
    told = {row["slice"]: row for row in metrics._built(dev, FLIGHT_DELAYS, day, files, 1)}
    prices = FLIGHT_DELAYS.business
    assert told["all"]["business_value"] == prices.caught + prices.false_alarm
    assert (told["origin=EWR"]["caught"], told["origin=EWR"]["missed"], told["origin=EWR"]["rows"]) == (1, 1, 3)
    assert Table(dev, FLIGHT_DELAYS.name, "metrics").storage.list("staging") == []
