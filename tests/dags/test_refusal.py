"""A refused day in a real Airflow task: the same facts wherever people look, one alert, and its page behind a login."""

from __future__ import annotations

import uuid

import pytest

DS = "2013-01-01"
AIRFLOW = "http://127.0.0.1:8080"
FACTS = ("environment", "model", "table", "partition", "rule", "allowed", "seen", "rows")


@pytest.fixture(scope="module")
def refused(postgres_url, airflow_process, tmp_path_factory):
    import sqlalchemy as sa

    database = f"airflow_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"create database {database}"))
    engine.dispose()
    home = tmp_path_factory.mktemp("airflow-refusal")
    url = sa.make_url(postgres_url).set(database=database)
    return airflow_process(
        "refuse_day.py",
        home=home,
        variables={
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.render_as_string(hide_password=False),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "IMAGO_HOME": str(home / "imago"),
            "IMAGO_DEV_STORAGE_ROOT": str(home / "storage"),
            "IMAGO_DEV_LEDGER_URL": postgres_url,
            "IMAGO_DEV_LEDGER_SCHEMA": database,
            "IMAGO_DEV_MLFLOW_URI": "http://127.0.0.1:9",
            "IMAGO_DEV_AIRFLOW_URL": AIRFLOW,
        },
    )


def test_the_run_fails_at_once_and_keeps_the_staged_rows(refused):
    assert refused["state"] == "failed"
    assert refused["tasks"]["refresh"] == "failed"
    assert refused["staged"] > 0


def test_one_alert_speaks_of_it_and_none_of_the_failed_task(refused):
    assert [(alert["rule"], alert["ds"]) for alert in refused["alerts"]] == [("partition_refused", DS)]
    assert refused["reported"]


def test_exception_log_alert_and_summary_hold_the_same_facts(refused):
    (summary,), (alert,) = refused["xcoms"], refused["alerts"]
    told = {**dict(alert["body"]["facts"]), "audit": dict(alert["body"]["links"])["audit"]}
    assert set(FACTS) <= set(told)
    assert (told["partition"], told["rows"]) == (DS, 10)
    assert {name: summary[name] for name in told} == told
    assert summary["next_step"] == alert["body"]["next_step"]
    log = refused["logged"].split("refresh was refused\n")[1]
    lines = dict(line.strip().split("  ", 1) for line in log.splitlines()[: len(summary)])
    (raised,) = (text for text in refused["raised"] if text != "None")
    for name, value in told.items():
        assert lines[name].strip() == str(value)
        assert f"{name}={value}" in raised


def test_the_alert_links_to_the_audit_the_run_and_its_log(refused):
    links = dict(refused["alerts"][0]["body"]["links"])
    assert set(links) == {"audit", "run", "log"}
    assert links["audit"].startswith(f"{AIRFLOW}/imago/audits/dev/flight_delays/features/{DS}..{DS}-")
    assert links["log"] == links["run"] + "/tasks/refresh"


@pytest.mark.parametrize(
    ("page", "status"),
    [("day", 200), ("list", 200), ("no day", 404), ("no table", 404), ("dossier", 200), ("no dossier", 404)],
)
def test_the_pages_ask_for_a_login(refused, page, status):
    assert refused["pages"][page][:2] == [401, status]


def test_the_day_leads_to_its_audit_in_which_nothing_can_run(refused):
    _, _, text, policy = refused["pages"]["day"]
    assert "Audit of features, 2013-01-01" in text
    assert ">refused<" in text
    assert policy.startswith("default-src 'none'")
    assert "refused</td>" in refused["pages"]["list"][2]


def test_a_training_leads_to_its_dossier_in_which_nothing_can_run(refused):
    _, _, text, policy = refused["pages"]["dossier"]
    assert "The dossier" in text
    assert policy.startswith("default-src 'none'")
