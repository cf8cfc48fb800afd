"""Silence as a signal: what is due, what is late, what is paused, what waits, what failed in silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import insert, select

from imago.alerts.outbox import Alert, raise_alert
from imago.alerts.watch import due_partitions
from imago.context import RunContext
from imago.jobs.airflow_seen import Attempt, Part, RunFacts
from imago.jobs.watchdog import check
from imago.ledger import connect
from imago.ledger.schema import alerts, incidents, publications

FEATURES = "dev__m__feature_refresh"
NIGHT = datetime(2013, 10, 5, 6, 30, tzinfo=UTC)  # 02:30 in New York, half an hour after the deadline


class Airflow:
    """Answers by value."""

    def __init__(
        self,
        *runs: RunFacts,
        paused: frozenset[str] = frozenset(),
        parts: tuple[Part, ...] = (),
        attempts: tuple[Attempt, ...] = (),
    ) -> None:
        self.runs, self.paused, self.said, self.attempts = runs, paused, parts, attempts

    def parts(self) -> tuple[Part, ...]:
        return self.said

    def failed_attempts_since(self, since: datetime) -> tuple[Attempt, ...]:
        return self.attempts

    def paused_dags(self) -> frozenset[str]:
        return self.paused

    def runs_since(self, since: datetime) -> tuple[RunFacts, ...]:
        return self.runs


def spec(**changes):
    values = {"name": "m", "timezone": "America/New_York", "label_delay_days": 1, "first_day": "2013-10-05"}
    values |= {"last_day": "2013-12-31", "schedules": SimpleNamespace(daily="0 0 * * *")}
    return SimpleNamespace(**{**values, **changes})


@pytest.fixture
def dev(dev):
    """An environment whose watchdog has looked before: what fell due earlier was nobody's duty."""
    check(dev, [spec()], NIGHT - timedelta(days=3), Airflow())
    return dev


def ran(dag: str = FEATURES, ds: str | None = "2013-10-05", state: str = "running", run_id: str = "run-1") -> RunFacts:
    return RunFacts(dag_id=dag, run_id=run_id, ds=ds, state=state)


def publish(env, table: str, ds: str) -> None:
    values = {"model": "m", "table_name": table, "ds": ds, "version": 1, "fence": 1, "changed": True, "rows": 1}
    values |= {"digest": "x", "run_id": "r", "mode": "live", "code_commit": "c", "inputs": {}}
    with connect(env).begin() as connection:
        connection.execute(insert(publications).values(values))


def found(env) -> list[tuple[str, str, str]]:
    with connect(env).connect() as connection:
        return [
            tuple(row) for row in connection.execute(select(incidents.c.rule, incidents.c.subject, incidents.c.status))
        ]


def test_a_day_is_due_when_its_local_midnight_and_the_grace_have_passed():
    early = NIGHT - timedelta(hours=1)
    two = {"grace": timedelta(hours=2), "look_back_days": 3}
    assert due_partitions(spec(), early, **two) == []
    assert [(due.table, due.ds) for due in due_partitions(spec(), NIGHT, **two)] == [("features", "2013-10-05")]
    later = [(due.table, due.ds) for due in due_partitions(spec(), NIGHT + timedelta(days=2), **two)]
    assert later == [("features", f"2013-10-0{day}") for day in (5, 6, 7)] + [("outcomes", "2013-10-05")]


def test_a_world_that_lies_in_the_past_is_silent(dev):
    summary = check(dev, [spec()], datetime(2026, 11, 23, tzinfo=UTC), Airflow(paused=frozenset({FEATURES})))
    assert (summary["new_alerts"], summary["awake"], found(dev)) == (0, [], [])


def test_a_late_partition_is_alerted_once_and_ends_when_it_is_published(dev):
    assert check(dev, [spec()], NIGHT, Airflow(ran()))["new_alerts"] == 1
    assert check(dev, [spec()], NIGHT + timedelta(minutes=10), Airflow(ran()))["new_alerts"] == 0
    publish(dev, "features", "2013-10-05")
    check(dev, [spec()], NIGHT + timedelta(minutes=20), Airflow(ran()))
    assert found(dev) == [("partition_late", "features", "resolved")]


def test_a_run_that_never_started_is_told_apart_from_a_late_one(dev):
    check(dev, [spec()], NIGHT, Airflow())
    assert found(dev) == [("run_missing", FEATURES, "open")]


def test_a_paused_dag_is_alerted_until_it_is_not(dev):
    publish(dev, "features", "2013-10-05")
    check(dev, [spec()], NIGHT, Airflow(paused=frozenset({"dev__m__training", "dev__alert_delivery", "someone_elses"})))
    assert sorted(found(dev)) == [
        ("dag_paused", "dev__alert_delivery", "open"),
        ("dag_paused", "dev__m__training", "open"),
    ]
    check(dev, [spec()], NIGHT, Airflow())
    assert {status for _, _, status in found(dev)} == {"resolved"}


def test_alerts_that_wait_too_long_are_reported_and_their_own_alert_does_not_keep_it_open(dev):
    alert = Alert(model="m", rule="drift", subject="s", title="t", why="w", did="d", next_step="n")
    with connect(dev).begin() as connection:
        raise_alert(connection, alert, RunContext(run_id="r"))
    later = datetime.now(UTC) + timedelta(minutes=20)
    assert check(dev, [spec()], later, Airflow())["stalled"] is True
    with connect(dev).begin() as connection:
        connection.execute(alerts.update().where(alerts.c.rule == "drift").values(status="delivered"))
    assert check(dev, [spec()], later, Airflow())["stalled"] is False


@pytest.mark.parametrize("reported", [True, False])
def test_a_failed_run_is_reported_unless_an_alert_speaks_of_it(dev, reported):
    publish(dev, "features", "2013-10-05")
    if reported:
        alert = Alert(model="m", rule="task_failed", subject=FEATURES, title="t", why="w", did="d", next_step="n")
        with connect(dev).begin() as connection:
            raise_alert(connection, alert, RunContext(run_id="run-1"))
    facts = Airflow(ran(state="failed"), ran("someone_elses", state="failed"))
    check(dev, [spec()], NIGHT, facts)
    assert [rule for rule, _, _ in found(dev)] == (["task_failed"] if reported else ["run_unreported"])
