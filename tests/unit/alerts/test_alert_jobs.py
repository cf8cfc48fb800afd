"""The alert tasks on a real ledger: failures, digests, and a missing token."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from sqlalchemy import insert, select

from imago.alerts.outbox import Alert, raise_alert
from imago.context import RunContext
from imago.errors import RefusedPartition
from imago.jobs import alerts as jobs
from imago.jobs import failures
from imago.ledger import connect
from imago.ledger.schema import alerts, digests, failed_attempts, incidents, publications
from tests.waiting import HANGS

LIVE = RunContext(run_id="run-1")
BACKFILL = RunContext(run_id="run-2", mode="backfill")
DAG = "dev__m__batch_scoring"


@pytest.fixture
def env(dev, monkeypatch):
    """The environment as callbacks find it, in the process's variables."""
    for name, value in dev:
        if value is not None and name not in ("name", "requires_approval"):
            secret = value.get_secret_value() if isinstance(value, SecretStr) else value
            monkeypatch.setenv(f"IMAGO_DEV_{name.upper()}", str(secret))
    return dev


def fail(run: str = "run-1", task: str | None = "score", error: object = None, ds: str | None = "2013-10-05"):
    return failures.task_failed("dev", None, DAG, run, task, ds, error, {}, RunContext(run_id=run))


def rows(env, table):
    with connect(env).connect() as connection:
        return connection.execute(select(table).order_by(table.c.id)).all()


def publish(env, table: str, ds: str, *, changed: bool = True) -> None:
    values = {"model": "m", "table_name": table, "ds": ds, "version": 1, "fence": 1, "changed": changed, "rows": 1}
    values |= {"digest": "x", "run_id": "r", "mode": "backfill", "code_commit": "c", "inputs": {}}
    with connect(env).begin() as connection:
        connection.execute(insert(publications).values(values))


def note(env, rule: str = "drift", ds: str = "2013-10-02", context: RunContext = BACKFILL) -> None:
    alert = Alert(model="m", rule=rule, subject="s", title="t", why="w", did="d", next_step="n", ds=ds)
    with connect(env).begin() as connection:
        raise_alert(connection, alert, context)


def test_the_callbacks_of_a_task_and_of_its_dag_make_one_alert(env):
    assert fail(error=ValueError("boom"))["alert"] is not None
    assert fail(task=None)["alert"] is None
    assert len(rows(env, alerts)) == 1


def test_an_alert_holds_the_facts_of_the_refusal_and_no_credentials(env):
    fail(error=RefusedPartition("17 rows break it", column="dep_hour", rows=17, next_step="mend the delivery"))
    fail(run="run-9", ds="2013-10-06", error=OSError("no route to postgresql://u:secret@h/x\nsecond line"))
    first, second = (dict(row.body["facts"]) | {"next": row.body["next_step"]} for row in rows(env, alerts))
    assert (first["column"], first["rows"], first["next"]) == ("dep_hour", 17, "mend the delivery")
    assert second["error"] == "OSError: no route to postgresql://•••@h/x"


def test_a_run_whose_stage_alerted_its_refusal_is_not_alerted_again_even_when_it_is_repeated(env):
    note(env, rule="partition_refused", ds="2013-10-05", context=LIVE)
    assert fail()["alert"] is None
    note(env, rule="partition_refused", ds="2013-10-05", context=RunContext(run_id="run-7"))
    assert fail(run="run-7")["alert"] is None
    assert len(rows(env, alerts)) == 1


def test_a_later_success_of_the_same_day_ends_the_failure(env):
    fail()
    other = failures.run_succeeded("dev", None, DAG, "run-3", "2013-10-06", LIVE)
    same = failures.run_succeeded("dev", None, DAG, "run-4", "2013-10-05", LIVE)
    assert (other, same) == ({"resolved": []}, {"resolved": ["task_failed"]})


def attempt(error: object, number: int = 1) -> dict:
    context = RunContext(run_id="run-1")
    place = {"task_id": "score", "map_index": -1, "number": number, "of": 3, "error": error, "links": {}}
    return failures.attempt_failed("dev", None, DAG, "run-1", "2013-10-05", context, **place)


def test_an_attempt_that_failed_by_an_exception_is_noted_and_pages_nobody(env):
    assert attempt(OSError("no route"))["alert"] is None
    attempt(OSError("no route"))
    (said,) = [row.error for row in rows_of(env, failed_attempts)]
    assert (said, rows(env, alerts)) == ("OSError: no route", [])


def test_an_attempt_for_which_airflow_itself_speaks_was_killed(env):
    assert attempt("Task did not emit heartbeat within time limit")["alert"] is not None
    (alert,) = rows(env, alerts)
    assert (alert.rule, alert.title) == ("task_killed", "Attempt 1 of task score was killed for 2013-10-05")
    failures.run_succeeded("dev", None, DAG, "run-1", "2013-10-05", LIVE)
    assert rows(env, incidents)[0].status == "resolved"


def rows_of(env, table):
    with connect(env).connect() as connection:
        return connection.execute(select(table)).all()


def test_a_failure_while_the_ledger_is_down_is_logged_and_raises_nothing(monkeypatch, env, caplog):
    connect.cache_clear()
    monkeypatch.setenv("IMAGO_DEV_LEDGER_URL", "postgresql+psycopg2://u:secret@127.0.0.1:1/x")
    assert fail()["alert"] is None
    assert "could not be written down" in caplog.text
    assert "secret" not in caplog.text


def test_a_backfill_ends_in_one_digest_that_counts_days_and_findings(env):
    publish(env, "features", "2013-10-01")
    publish(env, "features", "2013-10-02", changed=False)
    publish(env, "predictions", "2013-10-01")
    note(env)
    assert jobs.close_digests(env, quiet_seconds=HANGS)["digests"] == []
    (digest,) = jobs.close_digests(env, quiet_seconds=0)["digests"]
    assert digest["title"] == "Backfill of m: 3 partitions, 2013-10-01 to 2013-10-02, 1 finding"
    noted, told = rows(env, alerts)
    assert (noted.status, told.status, told.rule) == ("digested", "pending", "backfill_digest")
    assert told.body["did"].startswith("features: 2 published, 1 changed, 1 unchanged; predictions: 1 published")
    assert dict(told.body["facts"]) == {"scored": "1 day: 1 changed, 0 unchanged", "drift": "1: s, 2013-10-02"}
    assert jobs.close_digests(env, quiet_seconds=0)["digests"] == []
    assert len(rows(env, digests)) == 1 == len(rows(env, incidents))


def test_a_backfill_that_only_failed_ends_in_a_digest_too(env):
    context = RunContext(run_id="run-2", mode="backfill")
    failures.task_failed("dev", "m", DAG, "run-2", "score", "2013-10-05", None, {}, context)
    assert rows(env, incidents) == []
    (digest,) = jobs.close_digests(env, quiet_seconds=0)["digests"] or [None]
    assert digest["findings"] == 1


def test_without_a_token_alerts_stay_pending_and_the_summary_says_so(env):
    note(env, context=LIVE)
    summary = jobs.deliver(env)
    assert summary["waiting"] == 1
    assert "IMAGO_DEV_SLACK_TOKEN" in summary["note"]


def test_a_failure_of_the_platform_is_told_at_once_in_every_mode(env):
    failures.task_failed("dev", None, "dev__watchdog", "run-2", "check", None, None, {}, BACKFILL)
    assert [row.status for row in rows(env, alerts)] == ["pending"]
