"""The outbox on a real Postgres: what is written once, counted, escalated and ended."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from imago.alerts.outbox import Alert, raise_alert, resolve
from imago.context import RunContext
from imago.errors import ImagoError
from imago.ledger import connect
from imago.ledger.schema import alerts, incidents

LIVE = RunContext(run_id="run-1")
BACKFILL = RunContext(run_id="run-2", mode="backfill")


def drift(ds: str = "2013-10-01", **changes) -> Alert:
    values = {
        "model": "flight_delays",
        "rule": "drift",
        "subject": "carrier_delay",
        "title": "carrier_delay has drifted",
        "why": "scores lean on it",
        "did": "scored all the same",
        "next_step": "look at the picture",
        "ds": ds,
        "facts": {"value": 0.3, "threshold": 0.25},
    }
    return Alert(**{**values, **changes})


def refused(ds: str) -> Alert:
    return drift(ds, rule="partition_refused", subject="not_null dep_delay", facts={})


def rows(env, table):
    with connect(env).connect() as connection:
        return connection.execute(select(table).order_by(table.c.id)).all()


def tell(env, *found, context=LIVE):
    with connect(env).begin() as connection:
        return [raise_alert(connection, alert, context) for alert in found]


def test_a_retry_of_the_same_task_never_alerts_twice(dev):
    first = tell(dev, drift())
    assert first[0] is not None
    assert tell(dev, drift()) == [None]
    assert len(rows(dev, alerts)) == 1
    assert rows(dev, incidents)[0].count == 1


def test_the_next_day_counts_up_the_open_incident_and_keeps_the_worst_value(dev):
    tell(dev, drift(), drift("2013-10-02", facts={"value": 0.9}), drift("2013-10-03", facts={"value": 0.4}))
    (incident,) = rows(dev, incidents)
    assert (incident.count, incident.worst["value"], incident.worst["ds"]) == (3, 0.9, "2013-10-02")
    assert [row.body["kind"] for row in rows(dev, alerts)] == ["opened", "updated", "updated"]
    assert incident.dedup_key == "dev:flight_delays:drift:carrier_delay"


def test_a_critical_finding_escalates_a_warning(dev):
    tell(dev, drift(), drift("2013-10-02", severity="critical"), drift("2013-10-03"))
    assert rows(dev, incidents)[0].severity == "critical"
    assert [row.body["kind"] for row in rows(dev, alerts)] == ["opened", "escalated", "updated"]


def test_a_lower_value_is_the_worse_one_for_a_floor(dev):
    tell(
        dev,
        *(drift(f"2013-10-0{i}", rule="metric_floor", facts={"value": v}) for i, v in ((1, 0.7), (2, 0.5), (3, 0.6))),
    )
    assert rows(dev, incidents)[0].worst["value"] == 0.5


def test_a_transaction_that_is_rolled_back_alerts_nobody(dev):
    def work() -> None:
        with connect(dev).begin() as connection:
            raise_alert(connection, drift(), LIVE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert rows(dev, alerts) == []
    assert rows(dev, incidents) == []


def test_a_backfill_opens_no_incident_and_notes_each_finding_once(dev):
    tell(dev, drift(), context=BACKFILL)
    tell(dev, drift(title="said again"), context=BACKFILL)
    assert rows(dev, incidents) == []
    (row,) = rows(dev, alerts)
    assert (row.status, row.title) == ("digest", "said again")


def test_drift_ends_with_a_good_later_day_and_not_with_a_good_earlier_one(dev):
    tell(dev, drift("2013-10-05"))
    with connect(dev).begin() as connection:
        assert not resolve(connection, "flight_delays", "drift", "carrier_delay", BACKFILL, ds="2013-09-01")
        assert resolve(connection, "flight_delays", "drift", "carrier_delay", LIVE, ds="2013-10-06")
        assert not resolve(connection, "flight_delays", "drift", "carrier_delay", LIVE, ds="2013-10-07")
    assert rows(dev, incidents)[0].status == "resolved"
    assert [row.body["kind"] for row in rows(dev, alerts)] == ["opened", "resolved"]


def test_refused_days_stay_open_until_each_of_them_is_mended(dev):
    tell(dev, refused("2013-10-01"), refused("2013-10-02"))
    ends = []
    for ds in ("2013-10-03", "2013-10-02", "2013-10-01"):
        with connect(dev).begin() as connection:
            ends.append(resolve(connection, "flight_delays", "partition_refused", "not_null dep_delay", LIVE, ds=ds))
    assert ends == [False, False, True]


def test_a_day_that_is_refused_again_after_it_was_mended_is_told_and_open_again(dev):
    tell(dev, refused("2013-10-01"), refused("2013-10-02"))
    subject = "not_null dep_delay"
    with connect(dev).begin() as connection:
        resolve(connection, "flight_delays", "partition_refused", subject, LIVE, ds="2013-10-01")
    assert tell(dev, refused("2013-10-01")) != [None]
    with connect(dev).begin() as connection:
        assert not resolve(connection, "flight_delays", "partition_refused", subject, LIVE, ds="2013-10-02")
        assert resolve(connection, "flight_delays", "partition_refused", subject, LIVE, ds="2013-10-01")


def test_a_problem_that_comes_back_soon_is_the_same_incident_and_later_a_new_one(dev):
    tell(dev, drift())
    with connect(dev).begin() as connection:
        resolve(connection, "flight_delays", "drift", "carrier_delay", LIVE)
    tell(dev, drift())
    assert [(row.status, row._mapping["count"]) for row in rows(dev, incidents)] == [("open", 2)]
    assert [row.body["kind"] for row in rows(dev, alerts)] == ["opened", "resolved", "reopened"]
    with connect(dev).begin() as connection:
        resolve(connection, "flight_delays", "drift", "carrier_delay", LIVE)
        connection.execute(update(incidents).values(resolved_at=incidents.c.resolved_at - timedelta(hours=7)))
    tell(dev, drift())
    assert [row.status for row in rows(dev, incidents)] == ["resolved", "open"]


def test_a_problem_that_wavers_between_two_severities_rises_once(dev):
    for severity in ("warning", "critical", "warning", "critical"):
        tell(dev, drift(severity=severity))
        with connect(dev).begin() as connection:
            resolve(connection, "flight_delays", "drift", "carrier_delay", LIVE)
    kinds = [row.body["kind"] for row in rows(dev, alerts) if row.body["kind"] != "resolved"]
    assert kinds == ["opened", "escalated", "reopened", "reopened"]


def test_an_event_is_told_once_and_the_next_one_has_its_own_thread(dev):
    promoted = drift(rule="champion_promoted", subject="training")
    tell(dev, promoted, promoted, drift("2013-10-08", rule="champion_promoted", subject="training"))
    assert [(row.status, row.count) for row in rows(dev, incidents)] == [("resolved", 1)] * 2
    assert len(rows(dev, alerts)) == 2


def test_facts_that_postgres_would_refuse_do_not_end_the_callers_transaction(dev):
    import numpy as np

    tell(dev, drift(title="a\x00b", facts={"value": float("nan"), "rows": np.int64(3), "share": np.float32(0.5)}))
    (row,) = rows(dev, alerts)
    assert row.title == "a\\x00b"
    assert row.body["facts"] == [["value", "nan"], ["rows", 3], ["share", 0.5]]


def test_sixteen_writers_of_one_incident_make_one_incident(dev):
    def write(day: int) -> None:
        tell(dev, drift(f"2013-10-{day:02d}"), drift("2013-11-01"))

    threads = [threading.Thread(target=write, args=(day,)) for day in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (incident,) = rows(dev, incidents)
    assert incident.count == 17 == len(rows(dev, alerts))


def test_an_unknown_rule_is_refused_with_the_known_ones():
    with pytest.raises(ImagoError, match="partition_refused"):
        drift(rule="no_such_rule")
