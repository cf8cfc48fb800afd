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
    assert monitoring.monitor(reign, toy, WEEK[3], BACKFILL)["window_days"] == 4


def test_a_second_run_publishes_nothing_and_alerts_nobody_twice(reign, toy):
    moved, _ = world_rows([WEEK[0]], shift=4.0)
    publish(reign, "features", moved, [WEEK[0]])
    scoring.score(reign, toy, WEEK[0], LIVE)
    told = monitoring.monitor(reign, toy, WEEK[0], LIVE)
    assert "inputs" in told["alarms"]
    assert "predictions" in told["alarms"]
    before = len(rows_of(reign, alerts)), Table(reign, "toy", "drift").version()
    monitoring.monitor(reign, toy, WEEK[0], LIVE)
    assert (len(rows_of(reign, alerts)), Table(reign, "toy", "drift").version()) == before


def test_drift_of_many_columns_is_one_alert_that_names_the_worst(reign, toy):
    moved, _ = world_rows([WEEK[0]], shift=4.0)
    publish(reign, "features", moved, [WEEK[0]])
    scoring.score(reign, toy, WEEK[0], LIVE)
    monitoring.monitor(reign, toy, WEEK[0], LIVE)
    told = [row for row in rows_of(reign, alerts) if row["subject"] == "inputs"]
    assert [row["rule"] for row in told] == ["drift"]
    assert "risk" in told[0]["title"]
    assert dict(told[0]["body"]["facts"])["columns"] == ["risk"]


def test_calm_days_resolve_the_incident(reign, toy):
    moved, _ = world_rows([WEEK[0]], shift=4.0)
    publish(reign, "features", moved, [WEEK[0]])
    for ds in days_between("2013-02-11", "2013-02-19"):
        scoring.score(reign, toy, ds, LIVE)
        monitoring.monitor(reign, toy, ds, LIVE)
    assert {row["status"] for row in rows_of(reign, incidents)} == {"resolved"}


def test_a_backfill_pages_nobody(reign, toy):
    moved, _ = world_rows([WEEK[0]], shift=4.0)
    publish(reign, "features", moved, [WEEK[0]])
    scoring.score(reign, toy, WEEK[0], BACKFILL)
    assert monitoring.monitor(reign, toy, WEEK[0], BACKFILL)["alarms"]
    assert {row["status"] for row in rows_of(reign, alerts)} == {"digest"}
    assert rows_of(reign, incidents) == []


def test_a_window_never_mixes_two_champions(reign, toy):
    for ds in WEEK[:2]:
        scoring.score(reign, toy, ds, LIVE)
    crown(reign, seed=900, ds="2013-02-12", version="2")
    scoring.score(reign, toy, WEEK[2], LIVE)
    assert monitoring.monitor(reign, toy, WEEK[2], LIVE)["window_days"] == 1
    assert monitoring.monitor(reign, toy, WEEK[1], LIVE)["window_days"] == 2


def test_an_unscored_day_says_what_to_run(reign, toy):
    with pytest.raises(MissingPartition, match="batch_scoring"):
        monitoring.monitor(reign, toy, WEEK[0], LIVE)


@pytest.mark.parametrize(
    "harm", [lambda whole: whole[:-1], lambda whole: whole.replace(b"0.0", b"0.1", 1), lambda _: b""]
)
def test_a_damaged_reference_is_made_anew_and_never_read(reign, toy, harm):
    scoring.score(reign, toy, WEEK[0], LIVE)
    (stored,) = Path(reign.storage_root).glob("models/toy/references/*/profile.json")
    whole = stored.read_bytes()
    stored.write_bytes(harm(whole))
    assert stored.read_bytes() != whole
    with pytest.raises(DamagedPartition, match=r"profile\.json"):
        monitoring.monitor(reign, toy, WEEK[0], LIVE)
    assert scoring.score(reign, toy, WEEK[0], LIVE)["changed"] is False
    assert stored.read_bytes() == whole
