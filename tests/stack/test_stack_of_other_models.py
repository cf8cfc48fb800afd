"""A real stack that hosts the worlds and no flights: from raw files to a champion, a scored day and its money."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from imago import keys
from imago.airflow_api import AirflowApi
from imago.environments import load_environment
from imago.names import STAGES
from imago.stack import environment_variables
from imago.stack.layout import read_json
from imago.tables import Table
from imago_testing.worlds import WORLDS, World, write_project
from tests.waiting import HANGS, wait_until

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]


def imago(home: Path, *words: str, **given: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("IMAGO_", "AIRFLOW"))}
    return subprocess.run(
        [str(Path(sys.executable).parent / "imago"), *words],
        cwd=ROOT,
        env={**variables, "IMAGO_HOME": str(home), "PYTHONPATH": str(ROOT), **given},
        capture_output=True,
        text=True,
        check=False,
    )


def scored_day(world: World) -> str:
    """The first open day after the first training."""
    return next(ds for ds in world.open_days if ds > world.trainings[0])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory):
    """(variables, environment, Airflow) of a stack in which every world has scored a day, all through Airflow."""
    home = tmp_path_factory.mktemp("stack-worlds")
    project = write_project(home / "project" / "dbt_project")
    started = imago(home, "up", IMAGO_MODELS="imago_testing.worlds:MODELS", IMAGO_DBT_PROJECT=str(project))
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        variables = environment_variables(home)
        environment = load_environment("dev", variables)
        with AirflowApi.from_variables(variables=variables) as airflow:
            _live(environment, airflow)
            yield home, environment, airflow
    finally:
        ended = imago(home, "down")
        assert ended.returncode == 0, ended.stdout + ended.stderr


def _live(environment, airflow: AirflowApi) -> None:
    wanted = {f"dev__{name}__{stage}" for name in WORLDS for stage in STAGES}
    # The DAG processor is healthy before it has read all files.
    wait_until(lambda: wanted <= set(airflow.dag_ids("dev__")), "Airflow knows the DAGs of all worlds", every=1)

    def together(stage: str, conf_of, **options) -> None:
        runs = [airflow.trigger(f"dev__{name}__{stage}", **conf_of(world)) for name, world in WORLDS.items()]
        for run in [airflow.wait(run, timeout=HANGS) for run in runs]:
            assert run.state == "success", airflow.run_url(run)
        for behind in options.get("behind", ()):
            airflow.wait_idle([f"dev__{name}__{behind}" for name in WORLDS], timeout=HANGS)

    def history(world: World) -> dict:
        return {"conf": {"from_day": world.days[0], "to_day": world.trainings[0], "announce": "none"}}

    for world in WORLDS.values():
        world.deliver(environment, [ds for ds in world.days if ds <= scored_day(world)])
    together("feature_refresh", history)
    together("outcome_refresh", history)
    together(
        "training",
        lambda world: {"partition_key": world.trainings[0]},
        behind=("deployment", "endpoint_deploy"),
    )
    day = {"behind": ("batch_scoring", "monitoring")}
    together("feature_refresh", lambda world: {"partition_key": scored_day(world)}, **day)
    together("outcome_refresh", lambda world: {"partition_key": scored_day(world)}, behind=("metric_refresh",))


def test_all_components_run_and_the_dags_are_those_of_the_worlds(stack):
    home, _, airflow = stack
    assert "flight" not in " ".join(airflow.dag_ids("dev__"))
    assert {dag_id.split("__")[1] for dag_id in airflow.dag_ids("dev__") if dag_id.count("__") > 1} == set(WORLDS)
    told = imago(home, "doctor")
    assert "this process hosts customers, parcels, tickets" in told.stdout.replace("\n", " "), told.stdout


@pytest.mark.parametrize("name", list(WORLDS))
def test_a_day_is_scored_monitored_and_measured(stack, name):
    _, environment, _ = stack
    world, ds = WORLDS[name], scored_day(WORLDS[name])
    rows = {
        table: Table(environment, name, table).require(ds) for table in ("features", "predictions", "drift", "metrics")
    }

    assert rows["predictions"].num_rows == rows["features"].num_rows == world.files(ds)[0].rows.num_rows
    stored = {row["metric"] for row in rows["metrics"].to_pylist() if row["slice"] == "all"}
    assert {world.spec.primary_metric, world.money} <= stored


@pytest.mark.parametrize("name", list(WORLDS))
def test_the_endpoint_of_the_stack_serves_every_model(stack, name):
    home, environment, _ = stack
    spec = WORLDS[name].spec
    port = read_json(home / "stack.json")["ports"]["endpoint"]
    scored = Table(environment, name, "predictions").require(scored_day(WORLDS[name]))
    text = keys.texts(scored, spec.entity_keys)[0].as_py()

    answer = httpx.get(f"http://127.0.0.1:{port}/v1/{name}/{quote(text, safe='')}", trust_env=False)

    assert answer.status_code == 200, answer.text
    assert answer.json()["score"] == scored.column("score")[0].as_py()
