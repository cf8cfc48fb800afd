from __future__ import annotations

import pytest
from champion_world import BACKFILL, LIVE, crown, publish, world_rows
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from imago import ledger
from imago.days import days_between
from imago.jobs import monitoring, retraining, scoring
from imago.ledger.schema import retrainings
from imago.monitoring.drift import Finding, Verdict
from imago.monitoring.retraining import Earlier, decide
from imago.specs import Drift

WEEK = days_between("2013-02-11", "2013-02-17")
MOVED = Verdict("inputs", (Finding("risk", "psi", "day", 2.0, 1.5, 0.2),))
GONE = Verdict("missing_values", (Finding("noise", "missing_rise", "day", 1.0, 1.0, 0.1),))
CALM = Verdict("predictions", ())


def outcome(*verdicts, earlier=(), reigning="a", **drift):
    return decide(
        "2013-03-20", verdicts, reference="a", reigning=reigning, earlier=earlier, drift=Drift(retrain=True, **drift)
    ).outcome


def test_a_changed_world_is_trained_on_and_a_broken_source_is_not():
    assert outcome(MOVED, CALM) == "triggered"
    assert outcome(MOVED, GONE) == "broken"


def test_a_champion_that_reigns_no_more_trains_nothing():
    assert outcome(MOVED, reigning="b") == "superseded"


def test_between_two_trainings_lies_the_cool_down():
    assert outcome(MOVED, earlier=[Earlier("2013-03-07", "a")]) == "cooling"
    assert outcome(MOVED, earlier=[Earlier("2013-03-06", "a")]) == "triggered"
    assert outcome(MOVED, earlier=[Earlier("2013-03-07", "a")], retrain_cooldown_days=10) == "triggered"


def test_trainings_that_give_no_new_champion_end():
    twice = [Earlier("2013-01-01", "a"), Earlier("2013-02-01", "a")]
    assert outcome(MOVED, earlier=twice) == "exhausted"
    assert outcome(MOVED, earlier=twice, retrain_limit=3) == "triggered"
    assert outcome(MOVED, earlier=[Earlier("2013-01-01", "a"), Earlier("2013-02-01", "z")]) == "triggered"


class Recorded:
    """Starts each run once, as Airflow does."""

    def __init__(self, *, down: bool = False):
        self.runs, self.down = {}, down

    def start(self, dag, *, partition_key, run_id, note):
        if self.down:
            raise ConnectionError("Airflow does not answer")
        self.runs[dag, run_id] = partition_key
        return f"{dag}/{run_id}"


@pytest.fixture
def drifted(reign, toy):
    """The champion of `toy` after two days whose `risk` moved."""
    moved, _ = world_rows(WEEK[:2], shift=4.0)
    publish(reign, "features", moved, WEEK[:2])
    for ds in WEEK[:2]:
        scoring.score(reign, toy, ds, LIVE)
        monitoring.monitor(reign, toy, ds, LIVE)
    return reign


def rows_of(env):
    with ledger.connect(env).connect() as connection:
        return connection.execute(select(retrainings).order_by(retrainings.c.id)).mappings().all()


def test_a_confirmed_drift_starts_the_training_of_the_last_closed_day_once_and_the_ledger_says_why(drifted, toy):
    airflow = Recorded()
    for _ in range(2):
        told = retraining.consider(drifted, toy, WEEK[1], LIVE, airflow)
    assert airflow.runs == {("dev__toy__training", f"drift__{WEEK[0]}__{WEEK[1]}"): WEEK[0]}
    (row,) = rows_of(drifted)
    assert (row["ds"], row["training_ds"], row["outcome"]) == (WEEK[1], WEEK[0], "triggered")
    assert row["drift"]["inputs"] == ["risk"]
    assert row["reason"] == told["reason"] == f"confirmed drift on {WEEK[1]}, first of all prediction.score, risk"


def test_a_training_that_could_not_be_started_is_started_by_the_retry(drifted, toy):
    with pytest.raises(ConnectionError):
        retraining.consider(drifted, toy, WEEK[1], LIVE, Recorded(down=True))
    airflow = Recorded()
    retraining.consider(drifted, toy, WEEK[1], LIVE, airflow)
    assert len(airflow.runs) == len(rows_of(drifted)) == 1


def test_calm_days_and_backfills_train_nothing(drifted, toy):
    airflow = Recorded()
    assert retraining.consider(drifted, toy, WEEK[1], BACKFILL, airflow)["outcome"] == "none"
    scoring.score(drifted, toy, "2013-02-25", LIVE)
    assert retraining.consider(drifted, toy, "2013-02-25", LIVE, airflow)["outcome"] == "none"
    assert (airflow.runs, rows_of(drifted)) == ({}, [])


def test_a_new_champion_ends_the_claim_of_the_old_ones_days(drifted, toy):
    crown(drifted, seed=900, ds="2013-02-12", version="2")
    assert retraining.consider(drifted, toy, WEEK[1], LIVE, Recorded())["outcome"] == "superseded"


def test_the_ledger_does_not_change_its_mind(drifted, toy):
    retraining.consider(drifted, toy, WEEK[1], LIVE, Recorded())
    with pytest.raises(DBAPIError, match="append-only"), ledger.connect(drifted).begin() as connection:
        connection.execute(text("update retrainings set outcome = 'cooling'"))
