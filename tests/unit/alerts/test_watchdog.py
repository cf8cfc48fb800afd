"""Silence as a signal: what is due, what is late, what is paused, what waits, what failed in silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import insert, select

from imago.alerts.outbox import Alert, raise_alert
from imago.alerts.watch import due_partitions
from imago.context import RunContext
from imago.jobs.airflow_facts import RestFacts
from imago.jobs.airflow_seen import Attempt, Part, RunFacts
from imago.jobs.watchdog import check
from imago.ledger import connect
from imago.ledger.schema import alerts, champions, failed_attempts, incidents, publications
from imago.specs import BrokenSpec, Calendar
from proofs.monitoring.fake_airflow import FakeAirflow

FEATURES = "dev__m__feature_refresh"
HOUR = timedelta(hours=1)
CHAMPION = {
    "model": "m", "action": "promote", "version": "1", "run_id": "r", "artifact_uri": "u", "artifact_sha256": "s",
    "artifact_format": "onnx", "artifacts": {}, "training_ds": "2013-10-01", "trained_until": "2013-09-30",
    "effective_ds": "2013-10-01", "decided_at": datetime(2013, 10, 1, tzinfo=UTC), "decided_by": "x", "reason": "r",
    "prev_hash": "", "row_hash": "",
}  # fmt: skip
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
    values["calendar"] = Calendar()
    return SimpleNamespace(**{**values, **changes})


@pytest.fixture
def dev(dev):
    """An environment whose watchdog has looked before: what fell due earlier was nobody's duty."""
    check(dev, [spec()], NIGHT - timedelta(days=3), Airflow())
    return dev


def ran(dag: str = FEATURES, ds: str | None = "2013-10-05", state: str = "running", run_id: str = "run-1") -> RunFacts:
    return RunFacts(dag_id=dag, run_id=run_id, ds=ds, state=state)


def publish(env, table: str, ds: str, **changes: object) -> None:
    values = {"model": "m", "table_name": table, "ds": ds, "version": 1, "fence": 1, "changed": True, "rows": 1}
    values |= {"digest": "x", "run_id": "r", "mode": "live", "code_commit": "c", "inputs": {}, **changes}
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


def killed(run: str = "run-1", task: str = "refresh", number: int = 1) -> Attempt:
    return Attempt(dag_id=FEATURES, run_id=run, task_id=task, map_index=-1, number=number, of=3)


def explain(env, run: str = "run-1", number: int = 1) -> None:
    said = {"run_id": run, "task_id": "refresh", "map_index": -1, "try_number": number, "error": "OSError: gone"}
    with connect(env).begin() as connection:
        connection.execute(insert(failed_attempts).values(said))


def test_an_attempt_that_ended_without_a_word_is_reported_once_and_one_that_said_why_is_not(dev):
    publish(dev, "features", "2013-10-05")
    explain(dev)
    check(dev, [spec()], NIGHT, Airflow(ran(), attempts=(killed(),)))
    assert found(dev) == []
    for _ in range(2):
        check(dev, [spec()], NIGHT, Airflow(ran(), attempts=(killed(), killed(number=2))))
    assert found(dev) == [("task_killed", FEATURES, "open")]


def test_a_killed_attempt_whose_run_went_well_is_told_as_over(dev):
    publish(dev, "features", "2013-10-05")
    check(dev, [spec()], NIGHT, Airflow(ran(state="success"), attempts=(killed(),)))
    assert found(dev) == [("task_killed", FEATURES, "resolved")]


def test_a_run_that_failed_because_it_was_killed_each_time_is_told_by_its_failure(dev):
    publish(dev, "features", "2013-10-05")
    check(dev, [spec()], NIGHT, Airflow(ran(state="failed"), attempts=(killed(),)))
    assert ("run_unreported", FEATURES, "open") in found(dev)


def test_a_part_of_airflow_that_gives_no_sign_of_life_is_reported_until_it_does(dev):
    publish(dev, "features", "2013-10-05")
    dead = Part(name="scheduler", is_well=False, seen_at=NIGHT - timedelta(minutes=2))
    assert check(dev, [spec()], NIGHT, Airflow(ran(), parts=(dead,)))["down"] == ["scheduler"]
    assert found(dev) == [("airflow_down", "scheduler", "open")]
    check(dev, [spec()], NIGHT, Airflow(ran(), parts=(Part(name="scheduler", is_well=True),)))
    assert found(dev) == [("airflow_down", "scheduler", "resolved")]


@pytest.mark.parametrize(
    ("others_ended", "stalled"),
    [
        (timedelta(minutes=5), True),  # others ran, and no delivery
        (timedelta(hours=3), False),  # nothing ran: the machine slept
    ],
)
def test_a_delivery_that_runs_no_more_is_told_apart_from_a_machine_that_slept(dev, others_ended, stalled):
    publish(dev, "features", "2013-10-05")
    delivery = RunFacts(dag_id="dev__alert_delivery", run_id="d", ds=None, state="success", ended_at=NIGHT - HOUR * 3)
    other = RunFacts(dag_id="dev__watchdog", run_id="w", ds=None, state="success", ended_at=NIGHT - others_ended)
    assert check(dev, [spec()], NIGHT, Airflow(ran(), delivery, other))["stalled"] is stalled


def test_a_model_owes_nothing_for_the_days_before_it_is_watched(make_environment):
    env = make_environment("dev")
    assert check(env, [spec()], NIGHT, Airflow())["late"] == 0
    late = check(env, [spec()], NIGHT + timedelta(days=1), Airflow())
    assert (late["late"], found(env)) == (1, [("run_missing", FEATURES, "open")])


def test_without_airflow_the_ledger_alone_says_what_is_late_and_no_pause_is_ended(dev):
    check(dev, [spec()], NIGHT - HOUR, Airflow(paused=frozenset({"dev__m__training"})))
    check(dev, [spec()], NIGHT, None)
    assert sorted(found(dev)) == [("dag_paused", "dev__m__training", "open"), ("partition_late", "features", "open")]


@pytest.mark.parametrize("started_by", ["scheduled__x", "manual__x"])
def test_predictions_are_due_where_the_clock_made_features_and_a_champion_reigns(dev, started_by):
    publish(dev, "features", "2013-10-05", run_id=f"{FEATURES}/{started_by}")
    with connect(dev).begin() as connection:
        connection.execute(insert(champions).values(CHAMPION))
        connection.execute(publications.update().values(published_at=NIGHT - HOUR * 2))
    check(dev, [spec()], NIGHT + HOUR, Airflow(ran()))
    late = [("run_missing", "dev__m__batch_scoring", "open")] if started_by.startswith("scheduled") else []
    assert found(dev) == late


def test_the_facts_of_airflow_come_over_rest_with_the_attempts_that_were_followed_by_another(dev):
    with FakeAirflow() as airflow:
        airflow.unhealthy["scheduler"] = NIGHT
        airflow.paused = {"dev__m__training", "prod__m__training"}
        airflow.add_run(FEATURES, "run-1", state="running", ds="2013-10-05")
        airflow.add_attempts(FEATURES, "run-1", "refresh", states=("up_for_retry", "failed"))
        airflow.add_attempts(FEATURES, "run-1", "announce", states=("up_for_retry",))
        with RestFacts.of(dev, airflow.variables) as facts:
            assert [(part.name, part.is_well) for part in facts.parts()] == [
                ("scheduler", False),
                ("DAG processor", True),
                ("triggerer", True),
            ]
            assert facts.paused_dags() == {"dev__m__training"}
            assert [run.run_id for run in facts.runs_since(NIGHT)] == [f"{FEATURES}/run-1"]
            attempts = {(one.task_id, one.number, one.of) for one in facts.failed_attempts_since(NIGHT)}
            # The last attempt of `refresh` ended its task; its callback speaks for it.
            assert attempts == {("refresh", 1, 3), ("announce", 1, 3)}


def test_a_broken_spec_is_told_once_and_ends_when_it_loads_again(dev):
    def of_rule(table):
        with connect(dev).connect() as connection:
            return connection.execute(select(table).where(table.c.rule == "spec_broken").order_by(table.c.id)).all()

    broken = [
        BrokenSpec("shop", "shop.py, line 3", "primary_metric='auc' is none", "correct shop.py"),
        BrokenSpec("other", "other.py, line 1", "invalid syntax", "correct other.py"),
    ]
    for _ in range(3):
        assert check(dev, [spec()], NIGHT, Airflow(), broken=broken)["broken_specs"] == 2
    told = {row.subject: row.body for row in of_rule(alerts)}
    assert (len(of_rule(alerts)), sorted(told)) == (2, ["other", "shop"])
    body = told["shop"]
    assert "primary_metric='auc' is none" in str(body)
    assert "shop.py, line 3" in str(body)
    assert body["next_step"] == "correct shop.py"

    check(dev, [spec(), spec(name="shop")], NIGHT, Airflow(), broken=broken[1:])
    assert {row.subject: row.status for row in of_rule(incidents)} == {"shop": "resolved", "other": "open"}
    check(dev, [spec(), spec(name="shop")], NIGHT, Airflow())
    assert {row.status for row in of_rule(incidents)} == {"resolved"}


def test_incidents_of_a_model_that_is_hosted_no_longer_end_and_those_of_a_broken_spec_stay(dev):
    with connect(dev).begin() as connection:
        for model in ("m", "renamed", "broken", None):
            alert = Alert(model=model, rule="drift", subject="s", title="t", why="w", did="d", next_step="n")
            raise_alert(connection, alert, RunContext(run_id="r"))

    def open_models():
        with connect(dev).connect() as connection:
            query = select(incidents.c.model).where(incidents.c.status == "open", incidents.c.rule == "drift")
            return set(connection.execute(query).scalars())

    broken = BrokenSpec("broken", "models.py", "a typo", "correct it")
    check(dev, [spec()], NIGHT, Airflow(), broken=[broken])
    assert open_models() == {"m", "renamed", "broken", None}  # what else a file that does not load hides is not known
    check(dev, [spec(), spec(name="broken")], NIGHT, Airflow())
    assert open_models() == {"m", "broken", None}
