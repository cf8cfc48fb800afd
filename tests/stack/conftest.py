"""One embedded stack for all tests that need a real Airflow, with a champion that was trained through it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imago.airflow_api import AirflowApi, DagRun
from imago.environments import Environment, load_environment
from imago.names import STAGES
from imago.specs import ModelSpec, get_model
from imago.stack import environment_variables
from imago.tables import Table
from tests.waiting import HANGS, wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROOT = Path(__file__).parents[2]
# Twenty-one weeks show a lead that is more than chance. A Tuesday, which the weekly training works on, so that it can
# be backfilled.
TRAINING_DAY = "2013-05-28"


@dataclass(frozen=True)
class World:
    """The running stack as a test sees it."""

    home: Path
    variables: dict[str, str]
    environment: Environment
    spec: ModelSpec
    airflow: AirflowApi

    def dag(self, stage: str) -> str:
        return f"dev__{self.spec.name}__{stage}"

    def table(self, name: str) -> Table:
        return Table(self.environment, self.spec.name, name)

    def digests(self, name: str, days: tuple[str, ...]) -> dict[str, str]:
        return {ds: self.table(name).partition(ds).digest for ds in days}

    def succeeded(self, run: DagRun) -> DagRun:
        run = self.airflow.wait(run, timeout=HANGS)
        assert run.state == "success", self.airflow.run_url(run)
        return run

    def imago(self, *words: str) -> subprocess.CompletedProcess[str]:
        return _imago(self.home, *words)


def _imago(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("IMAGO_", "AIRFLOW"))}
    return subprocess.run(
        [str(Path(sys.executable).parent / "imago"), *words],
        cwd=ROOT,
        env={**variables, "IMAGO_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )


@pytest.fixture(scope="session")
def stack_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stack of its own, started and ended by the command line."""
    home = tmp_path_factory.mktemp("stack")
    started = _imago(home, "up")
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        yield home
    finally:
        ended = _imago(home, "down")
        assert ended.returncode == 0, ended.stdout + ended.stderr


def _wait_for_dags(airflow: AirflowApi, wanted: set[str]) -> None:
    """The DAG processor is healthy before it has read every file."""
    wait_until(lambda: wanted <= set(airflow.dag_ids("dev__")), f"Airflow knows {', '.join(sorted(wanted))}", every=1)


@pytest.fixture(scope="session")
def world(stack_home: Path) -> Iterator[World]:
    """The stack with twenty-one weeks of history and a champion, all made through Airflow."""
    from imago.context import RunContext
    from imago.jobs.landing import land

    variables = environment_variables(stack_home)
    environment, spec = load_environment("dev", variables), get_model("flight_delays")
    land(environment, "2013-01-01", "2013-06-11", RunContext.local())
    with AirflowApi.from_variables(variables=variables) as airflow:
        world = World(stack_home, variables, environment, spec, airflow)
        _wait_for_dags(airflow, {world.dag(stage) for stage in STAGES})
        loads = [
            airflow.trigger(world.dag(stage), conf={"from_day": "2013-01-01", "to_day": last, "announce": "none"})
            for stage, last in (("feature_refresh", TRAINING_DAY), ("outcome_refresh", "2013-05-27"))
        ]
        for run in loads:
            world.succeeded(run)
        world.succeeded(airflow.trigger(world.dag("training"), partition_key=TRAINING_DAY))
        airflow.wait_idle([world.dag("deployment"), world.dag("endpoint_deploy")], timeout=HANGS)
        yield world


@pytest.fixture(scope="module")
def page(world: World) -> Iterator:
    """A browser's page that is logged in."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    url, password = world.variables["IMAGO_AIRFLOW_URL"], world.variables["IMAGO_AIRFLOW_PASSWORD"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.set_default_timeout(HANGS * 1000)
        page.goto(f"{url}/dags")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", password)
        page.keyboard.press("Enter")
        page.wait_for_url("**/dags")
        yield page
        browser.close()
