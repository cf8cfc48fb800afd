from __future__ import annotations

from pathlib import Path

import pytest
from champion_world import BACKFILL, LIVE, crown, publish, world_rows
from sqlalchemy import select

from imago import ledger
from imago.days import days_between
from imago.errors import DamagedPartition, MissingPartition
from imago.jobs import monitoring, scoring
from imago.ledger.schema import alerts, incidents
from imago.tables import Table

WEEK = days_between("2013-02-11", "2013-02-17")


def drift_digests(env):
    return {info.ds: info.digest for info in Table(env, "toy", "drift").partitions()}


def rows_of(env, table):
    with ledger.connect(env).connect() as connection:
        return connection.execute(select(table).order_by(table.c.id)).mappings().all()


def moved_for_two_days(env, spec, context=LIVE, shift=4.0):
    """Scores and monitors two days in a row whose `risk` moved; the last summary."""
    moved, _ = world_rows(WEEK[:2], shift=shift)
    publish(env, "features", moved, WEEK[:2])
    for ds in WEEK[:2]:
        scoring.score(env, spec, ds, context)
        told = monitoring.monitor(env, spec, ds, context)
    return told


def test_days_monitored_in_any_order_end_with_the_same_drift(reign, make_environment, toy, tmp_path):
    from champion_world import DAYS

    other = make_environment("staging")
    features, outcomes = world_rows()
    publish(other, "features", features, DAYS)
    publish(other, "outcomes", outcomes, DAYS)
    crown(other)
    for env, order in ((reign, WEEK[:4]), (other, tuple(reversed(WEEK[:4])))):
        for ds in order:
            scoring.score(env, toy, ds, BACKFILL)
            monitoring.monitor(env, toy, ds, BACKFILL)
    assert drift_digests(reign) == drift_digests(other)


def test_what_the_training_knew_stands_in_for_the_days_before_the_first(reign, toy):
    scoring.score(reign, toy, WEEK[0], LIVE)
    found = monitoring.judgement_of(reign, toy, WEEK[0])
    assert found.inputs["profiles"].keys() == {WEEK[0]}
    assert {one.window for one in found.findings} == {"day", "week", "month", "weekdays"}
    assert {one.days for one in found.estimates} == {1, 7}


def test_a_second_run_publishes_nothing_and_alerts_nobody_twice(reign, toy):
    moved_for_two_days(reign, toy)
    before = len(rows_of(reign, alerts)), Table(reign, "toy", "drift").version()
    told = monitoring.monitor(reign, toy, WEEK[1], LIVE)
    assert {"inputs", "predictions"} <= set(told["alarms"])
    assert (len(rows_of(reign, alerts)), Table(reign, "toy", "drift").version()) == before


def test_drift_of_many_measures_is_one_alert_a_day_that_names_the_worst(reign, toy):
    moved_for_two_days(reign, toy)
    told = [row for row in rows_of(reign, alerts) if row["subject"] == "inputs" and row["ds"] == WEEK[1]]
    assert [row["rule"] for row in told] == ["drift"]
    assert "risk" in told[0]["title"]
    assert dict(told[0]["body"]["facts"])["columns"] == ["risk"]


def test_calm_days_resolve_the_incident(reign, toy):
    moved_for_two_days(reign, toy, shift=1.5)
    assert "open" in {row["status"] for row in rows_of(reign, incidents)}
    for ds in days_between(WEEK[2], "2013-03-01"):
        scoring.score(reign, toy, ds, LIVE)
        monitoring.monitor(reign, toy, ds, LIVE)
    assert {row["status"] for row in rows_of(reign, incidents)} == {"resolved"}


def test_a_backfill_pages_nobody(reign, toy):
    assert moved_for_two_days(reign, toy, BACKFILL)["alarms"]
    assert {row["status"] for row in rows_of(reign, alerts)} == {"digest"}
    assert rows_of(reign, incidents) == []


def test_a_window_never_mixes_two_champions(reign, toy):
    for ds in WEEK[:2]:
        scoring.score(reign, toy, ds, LIVE)
    crown(reign, seed=900, ds="2013-02-12", version="2")
    scoring.score(reign, toy, WEEK[2], LIVE)
    assert monitoring.judgement_of(reign, toy, WEEK[2]).inputs["profiles"].keys() == {WEEK[2]}
    assert monitoring.judgement_of(reign, toy, WEEK[1]).inputs["profiles"].keys() == set(WEEK[:2])


def test_an_unscored_day_says_what_to_run(reign, toy):
    with pytest.raises(MissingPartition, match="batch_scoring"):
        monitoring.monitor(reign, toy, WEEK[0], LIVE)


@pytest.mark.parametrize(
    "harm", [lambda whole: whole[:-1], lambda whole: bytes([whole[0] ^ 1]) + whole[1:], lambda _: b""]
)
def test_a_damaged_reference_is_made_anew_and_never_read(reign, toy, harm):
    scoring.score(reign, toy, WEEK[0], LIVE)
    (stored,) = Path(reign.storage_root).glob("models/toy/references/*/reference-*")
    whole = stored.read_bytes()
    stored.write_bytes(harm(whole))
    assert stored.read_bytes() != whole
    with pytest.raises(DamagedPartition, match="reference-"):
        monitoring.monitor(reign, toy, WEEK[0], LIVE)
    assert scoring.score(reign, toy, WEEK[0], LIVE)["changed"] is False
    assert stored.read_bytes() == whole
