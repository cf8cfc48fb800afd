"""A confirmed drift starts `training` with the last closed day as partition key, once, by a login of its own."""

from __future__ import annotations

import uuid

import pytest


@pytest.fixture
def drifted(postgres_url, airflow_process, tmp_path):
    """What a run of monitoring leaves behind, twice, by that login."""
    from sqlalchemy import create_engine, make_url, text

    def run(login):
        name = f"airflow_{uuid.uuid4().hex[:8]}"
        with create_engine(postgres_url, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        database = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
        variables = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "IMAGO_DEV_LEDGER_URL": database,
            "IMAGO_DEV_LEDGER_SCHEMA": "imago_dev",
            "IMAGO_DEV_STORAGE_ROOT": str(tmp_path / "storage"),
            "IMAGO_DEV_MLFLOW_URI": "sqlite:///unused.db",
            "LOGIN": login,
        }
        return airflow_process("retrain.py", home=tmp_path / "airflow", variables=variables)

    return run


def test_a_confirmed_drift_starts_one_training_of_the_last_closed_day(drifted):
    found = drifted("trainer")
    assert found["told"] == [{"monitor": "success", "document": "success", "retrain": "success"}] * 2
    assert found["runs"] == [["drift__2013-10-07__2013-10-08", "2013-10-07", "queued"]]
    reason = "confirmed drift on 2013-10-08, first of all departure_minute"
    assert found["rows"] == [["triggered", "2013-10-07", reason]]


def test_a_login_that_may_only_read_starts_nothing_and_the_task_says_so(drifted):
    found = drifted("watchdog")
    assert found["runs"] == []
    assert [one["retrain"] for one in found["told"]] == ["failed", "failed"]
    assert [one["document"] for one in found["told"]] == ["success", "success"]
