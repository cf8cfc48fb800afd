"""What people are told of an audit: alerts on a real ledger, opened once and ended by real publishes."""

from __future__ import annotations

import pyarrow as pa
import pytest
from sqlalchemy import select

from imago import ledger
from imago.alerts.rendering import Finding as Told
from imago.alerts.rendering import Incident, head
from imago.context import RunContext
from imago.errors import RefusedPartition
from imago.features.findings import Finding
from imago.features.refusals import tell_published, tell_refused, tell_warnings
from imago.jobs import failures as alert_jobs
from imago.jobs import features
from imago.landing.deliver import write_delivery
from imago.ledger.schema import alerts, incidents
from imago.storage import Storage
from imago.tables import Table

D1, D2, D3 = "2013-03-01", "2013-03-02", "2013-03-03"
RUN = "dev__flight_delays__feature_refresh/scheduled__2013-03-01T05:00:00+00:00"
LIVE = RunContext(run_id=RUN, task_id="refresh")
DOCS = f"audits/flight_delays/features/{D1}..{D1}-7/index.html"
AIRFLOW = "http://127.0.0.1:8080"


@pytest.fixture
def env(make_environment):
    return make_environment("dev", airflow_url=AIRFLOW)


def refusal(**changes) -> RefusedPartition:
    facts = {"column": "origin", "rule": "allowed values", "allowed": "EWR, JFK, LGA", "seen": "XXX", "rows": 17}
    return RefusedPartition("origin holds other values", next_step="mend the delivery", **{**facts, **changes})


def refuse(env, spec, *days: str, context: RunContext = LIVE, **changes) -> RefusedPartition:
    error = refusal(**changes)
    tell_refused(env, spec, "features", days or (D1,), error, context, docs=DOCS)
    return error


def publish(env, spec, *days: str) -> None:
    table = Table(env, spec.name, "features")
    rows = pa.table({"key": [f"{ds}-a" for ds in days], "ds": list(days)})
    table.publish(rows, days=days, key=("key",), fence=table.draw_fence(), context=LIVE)
    tell_published(env, spec, "features", days, LIVE)


def warn(env, spec, *days: str, of: tuple[str, ...] = (D1,), rule: str = "missing values") -> None:
    found = [
        Finding(column="plane_seats", rule=rule, partition=ds, allowed="<= 5%", seen="7%", rows=61, critical=False)
        for ds in days
    ]
    tell_warnings(env, spec, "features", of, found, LIVE, DOCS)


def rows(env, table):
    with ledger.connect(env).connect() as connection:
        return connection.execute(select(table).order_by(table.c.id)).all()


def standing(env) -> list[tuple[str, str, int]]:
    return [(row.rule, row.status, row.count) for row in rows(env, incidents)]


def test_the_alert_holds_every_fact_of_the_refusal_and_links_to_audit_run_and_log(env, spec):
    error = refuse(env, spec)

    (alert,) = rows(env, alerts)
    facts = dict(alert.body["facts"])
    assert facts == {
        "environment": "dev",
        "model": "flight_delays",
        "table": "features",
        "partition": D1,
        "column": "origin",
        "rule": "allowed values",
        "allowed": "EWR, JFK, LGA",
        "seen": "XXX",
        "rows": 17,
    }
    assert {**facts, "audit": error.facts["audit"]} == error.facts
    assert (alert.severity, alert.subject, alert.body["next_step"]) == ("critical", "features", "mend the delivery")
    run = f"{AIRFLOW}/dags/dev__flight_delays__feature_refresh/runs/scheduled__2013-03-01T05%3A00%3A00%2B00%3A00"
    assert dict(alert.body["links"]) == {
        "audit": f"{AIRFLOW}/imago/audits/dev/flight_delays/features/{D1}..{D1}-7",
        "run": run,
        "log": f"{run}/tasks/refresh",
    }


def test_the_exception_says_the_same_facts_as_the_alert(env, spec):
    text = str(refuse(env, spec))

    (alert,) = rows(env, alerts)
    for name, value in alert.body["facts"]:
        assert f"{name}={value}" in text
    assert "Next: mend the delivery" in text


def test_the_failure_of_the_task_is_no_second_alert(env, spec, monkeypatch):
    error = refuse(env, spec)
    monkeypatch.setattr(alert_jobs, "load_environment", lambda name: env)

    dag, run = RUN.split("/", 1)
    told = alert_jobs.task_failed("dev", spec.name, dag, run, "refresh", D1, error, {}, LIVE)

    assert told["alert"] is None
    assert len(rows(env, alerts)) == 1


def test_a_retry_says_nothing_new_and_other_days_count_up_one_incident(env, spec):
    for days in ((D1,), (D1,), (D2,), (D1, D2, D3)):
        refuse(env, spec, *days)

    assert standing(env) == [("partition_refused", "open", 3)]


def test_publishing_each_refused_day_ends_the_incident(env, spec):
    refuse(env, spec, D1)
    refuse(env, spec, D2)

    publish(env, spec, D3)
    publish(env, spec, D1)
    assert standing(env) == [("partition_refused", "open", 2)]
    publish(env, spec, D2)
    assert standing(env) == [("partition_refused", "resolved", 2)]


def test_a_refused_range_ends_when_all_of_its_days_were_published_one_by_one(env, spec):
    publish(env, spec, D3)  # before the refusal: it mends nothing
    refuse(env, spec, D1, D2, D3)

    publish(env, spec, D1)
    publish(env, spec, D2)
    assert standing(env) == [("partition_refused", "open", 1)]
    publish(env, spec, D3)
    assert standing(env) == [("partition_refused", "resolved", 1)]


def test_a_refused_backfill_pages_nobody(env, spec):
    refuse(env, spec, context=RunContext(run_id=RUN, mode="backfill"))

    assert [row.status for row in rows(env, alerts)] == ["digest"]
    assert standing(env) == []


def test_a_ledger_that_is_down_does_not_hide_the_refusal(env, spec, monkeypatch, caplog):
    gone = env.model_copy(update={"ledger_url": type(env.ledger_url)("postgresql+psycopg2://u:secret@127.0.0.1:1/x")})
    error = refuse(gone, spec)

    assert error.facts["partition"] == D1
    assert "could not be written down" in caplog.text
    assert "secret" not in caplog.text


def test_what_comes_from_data_is_cut_and_can_neither_forge_a_line_nor_page_anyone(env, spec):
    error = refuse(env, spec, seen="<!channel>\n2026-01-01 ERROR all is well\x1b[2J" + "x" * 900)

    assert len(error.facts["seen"]) == 300
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    (row,) = rows(env, alerts)
    incident = Incident(
        id=1, environment="dev", model="m", rule=row.rule, subject=row.subject, severity=row.severity, status="open",
        opened_at=row.created_at, resolved_at=None, count=1, worst={}, owner="ops",
    )  # fmt: skip
    told = Told(title=row.title, severity=row.severity, kind="opened", facts=dict(row.body["facts"]))
    assert "&lt;!channel&gt;" in str(head(incident, told).blocks)
    assert "<!channel>" not in str(head(incident, told).blocks)


def test_days_that_warn_of_one_column_and_rule_are_one_incident(env, spec):
    warn(env, spec, D1, D2, of=(D1, D2))
    warn(env, spec, D3, of=(D3,))
    warn(env, spec, D3, of=(D3,), rule="unseen values")

    assert [(row.subject, row.count) for row in rows(env, incidents)] == [
        ("features.plane_seats: missing values", 3),
        ("features.plane_seats: unseen values", 1),
    ]
    assert {row.severity for row in rows(env, alerts) if row.body["kind"] != "resolved"} == {"warning"}
    assert dict(rows(env, alerts)[0].body["facts"])["seen"] == "7%"


def test_a_healthy_later_day_ends_a_warning_and_an_earlier_one_does_not(env, spec):
    warn(env, spec, D2, of=(D2,))

    warn(env, spec, of=(D1,))
    assert standing(env) == [("audit_warning", "open", 1)]
    tell_warnings(env, spec, "outcomes", (D3,), (), LIVE)
    assert standing(env) == [("audit_warning", "open", 1)]
    warn(env, spec, of=(D3,))
    assert standing(env) == [("audit_warning", "resolved", 1)]


def test_a_refused_refresh_is_told_with_its_page_and_the_mended_day_ends_it(landed, spec):
    storage = Storage(landed)
    (rel,) = (rel for rel in storage.list(f"raw/schedule/ds={D1}") if rel.endswith(".parquet"))
    whole = storage.read_parquet(rel)
    write_delivery(storage, rel, whole.slice(0, 10))

    with pytest.raises(RefusedPartition) as refused:
        features.refresh(landed, spec, D1, D1, LIVE)

    facts = refused.value.facts
    assert (facts["partition"], facts["rule"], facts["seen"], facts["rows"]) == (D1, "volume", "10 rows", 10)
    (alert,) = rows(landed, alerts)
    assert dict(alert.body["facts"]) == facts
    page = storage.read_bytes(storage.relative(facts["audit"])).decode()
    assert ">refused<" in page
    assert not [key for key in whole["flight_key"].to_pylist() if key in page]
    assert standing(landed) == [("partition_refused", "open", 1)]

    write_delivery(storage, rel, whole)
    summary = features.refresh(landed, spec, D1, D1, LIVE)
    assert ">passed" in storage.read_bytes(storage.relative(summary["audit"])).decode()
    assert ("partition_refused", "resolved", 1) in standing(landed)
