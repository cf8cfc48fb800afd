"""The shipped DAGs in an Airflow that hosts other models than the flights, named by IMAGO_MODELS."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from imago.names import STAGES
from imago_testing.worlds import WORLDS, write_project


@pytest.fixture(scope="module")
def ran(postgres_url, airflow_process, tmp_path_factory):
    import sqlalchemy as sa

    database = f"airflow_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"create database {database}"))
    engine.dispose()
    home = tmp_path_factory.mktemp("airflow-worlds")
    return airflow_process(
        "run_worlds.py",
        home=home,
        variables={
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": sa.make_url(postgres_url)
            .set(database=database)
            .render_as_string(hide_password=False),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "IMAGO_MODELS": "imago_testing.worlds:MODELS",
            "IMAGO_DBT_PROJECT": str(write_project(home / "dbt" / "dbt_project")),
            "IMAGO_HOME": str(home / "imago"),
            "IMAGO_DEV_STORAGE_ROOT": str(home / "storage"),
            "IMAGO_DEV_LEDGER_URL": postgres_url,
            "IMAGO_DEV_LEDGER_SCHEMA": database,
            "IMAGO_DEV_MLFLOW_URI": "http://127.0.0.1:9",
        },
    )


def test_the_dags_are_exactly_those_of_the_hosted_models(ran):
    stages = (*STAGES, "backfill", "champion_rollback", "corrections")
    expected = {f"dev__{name}__{stage}" for name in WORLDS for stage in stages}

    assert ran["errors"] == {}
    assert {dag_id for dag_id in ran["dags"] if dag_id.count("__") > 1} == expected
    assert {"dev__alert_delivery", "dev__retention", "dev__watchdog"} <= set(ran["dags"])


@pytest.mark.parametrize("name", list(WORLDS))
def test_each_world_is_refreshed_by_day_and_by_range(ran, name):
    told, world = ran["worlds"][name], WORLDS[name]

    assert len(told["states"]) == 3
    assert set(told["states"].values()) == {"success"}
    for ds in told["days"]:
        features, outcomes = (file.rows.num_rows for file in world.files(ds))
        assert told["rows"]["features"][ds] == features
        assert told["rows"]["outcomes"][ds] == outcomes
