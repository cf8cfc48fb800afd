"""Real Airflow, two attempts of one scoring task side by side: the one that lost its place is fenced, and says by whom.

An attempt is held up just before its commit (`pausing`), and Airflow is made to believe that it is lost: it is stopped
with SIGSTOP together with its supervisor, as when a machine sleeps; or its supervisor is killed with SIGKILL, which
leaves the task an orphan. A correction of the day's features arrives meanwhile, so the attempt holds rows that are no
longer right. Airflow starts a replacement, which publishes; then the first attempt goes on with its commit.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from imago.airflow_api import AirflowApi, DagRun
from imago.environments import Environment, load_environment
from imago.jobs import scoring
from imago.names import dag_id
from imago.stack import Layout, environment_variables
from imago.stack.supervisor import down, up
from proofs.aftermath import versions_of
from proofs.postgres import new_environment
from proofs.report import Report
from proofs.scoring import naive
from proofs.scoring.world import CONTEXT, SPEC, World, corrected, publish, table

Way = Literal["paused", "orphaned"]
PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 300
# Airflow takes an attempt for lost after so many seconds without a heartbeat (its own default is 300).
_LOST_AFTER = 20
_CONFIGURATION = f"""[scheduler]
task_instance_heartbeat_timeout = {_LOST_AFTER}
task_instance_heartbeat_timeout_detection_interval = 2
[workers]
min_heartbeat_interval = 2
"""
_SITECUSTOMIZE = """import runpy, pathlib
runpy.run_path({hook!r})["install"](pathlib.Path({folder!r}), pathlib.Path({naive!r}), {way!r})
"""


def run(url: str, world: World, *, each: int) -> Report:
    """`each` paused attempts and as many orphans."""
    report = Report("attempts in Airflow")
    with tempfile.TemporaryDirectory(prefix="imago-attempts-", ignore_cleanup_errors=True) as folder:
        home, hook = Path(folder) / "stack", Path(folder) / "hook"
        days = world.plan.days[: 2 * each]
        wanted = _expected(new_environment(url, Path(folder) / "expected"), world, days)
        with _stack(home, hook) as variables, AirflowApi.from_variables(variables=variables) as airflow:
            env = load_environment("dev", variables)
            world.furnish(env, days, reigns=1)
            lane = _Lane(env, world, airflow, hook, wanted, report)
            for first, second in zip(days[::2], days[1::2], strict=True):
                lane.side_by_side({first: "paused", second: "orphaned"})
            lane.announced_once(days)
    told = sum(lane.fenced.values())
    report.say(f"{each} paused and {each} orphaned attempts: {told} of {len(days)} fenced by their replacement")
    return report


def _expected(env: Environment, world: World, days: tuple[str, ...]) -> dict[str, str]:
    """The digest of each day's predictions from the corrected features, scored where nobody disturbs."""
    world.furnish(env, days, reigns=1)
    publish(env, corrected(world.features(days), 3.0))
    return {ds: scoring.score(env, SPEC, ds, CONTEXT)["digest"] for ds in days}


@contextmanager
def _stack(home: Path, hook: Path) -> Iterator[dict[str, str]]:
    """The embedded stack, with Airflow's own short patience and the hook in all of its processes."""
    hook.mkdir(parents=True)
    here = Path(__file__).parent
    text = _SITECUSTOMIZE.format(
        hook=str(here / "pausing.py"),
        folder=str(hook),
        naive=str(here / "naive.py"),
        way=os.environ.get(naive.VARIABLE, ""),
    )
    (hook / "sitecustomize.py").write_text(text)
    (home / "airflow").mkdir(parents=True)
    (home / "airflow" / "airflow.cfg").write_text(_CONFIGURATION)
    layout = Layout(root=home, project=PROJECT)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(hook), os.environ.get("PYTHONPATH"))))
    os.environ.pop("IMAGO_HOME", None)
    try:
        up(layout)
        yield environment_variables(home)
    finally:
        down(layout)


@dataclass
class _Lane:
    """The stack's environment, and what is expected of its days."""

    env: Environment
    world: World
    airflow: AirflowApi
    hook: Path
    wanted: dict[str, str]
    report: Report

    def __post_init__(self) -> None:
        self.fenced: dict[str, bool] = {}
        scores = dag_id("dev", SPEC.name, "batch_scoring")
        _until(lambda: scores in self.airflow.dag_ids("dev__"), "Airflow knows the DAG")
        self.scores = scores

    def side_by_side(self, ways: dict[str, Way]) -> None:
        """One attempt of each day is stopped and loses its place; all days at once, since Airflow waits for each."""
        for ds, way in ways.items():
            (self.hook / f"{ds}.order").write_text("stop" if way == "paused" else "wait")
        runs = {ds: self.airflow.trigger(self.scores, partition_key=ds) for ds in ways}
        stopped = {ds: self._stopped(ds, way) for ds, way in ways.items()}
        publish(self.env, corrected(self.world.features(ways), 3.0))
        for ds, way in ways.items():
            os.kill(stopped[ds]["supervisor"], signal.SIGSTOP if way == "paused" else signal.SIGKILL)
        ended = {ds: self.airflow.wait(run, timeout=PATIENCE) for ds, run in runs.items()}
        for ds, way in ways.items():
            before = table(self.env).version()
            outcome = self._woken(ds, stopped[ds], way)
            self._judge(ds, way, ended[ds], outcome, before)

    def _stopped(self, ds: str, way: Way) -> dict[str, int]:
        """The attempt of a day, once it is held up just before its commit."""
        marker = self.hook / f"{ds}.stopped"
        _until(marker.exists, f"the first attempt of {ds} comes to its commit")
        found: dict[str, int] = json.loads(marker.read_text())
        task = psutil.Process(found["pid"])
        if way == "paused":
            _until(lambda: task.status() == psutil.STATUS_STOPPED, f"the first attempt of {ds} stands still")
        return found

    def _woken(self, ds: str, process: dict[str, int], way: Way) -> dict[str, Any]:
        """How the attempt ended after it went on. Its supervisor wakes after it, else it would end the task unheard."""
        outcome = self.hook / f"{ds}.outcome"
        if not psutil.pid_exists(process["pid"]):
            return {"gone": "the attempt was ended by somebody else"}
        if way == "paused":
            os.kill(process["pid"], signal.SIGCONT)
        else:
            (self.hook / f"{ds}.go").touch()
        _until(outcome.exists, f"the first attempt of {ds} ends")
        if way == "paused":
            os.kill(process["supervisor"], signal.SIGCONT)
        told: dict[str, Any] = json.loads(outcome.read_text())
        return told

    def _judge(self, ds: str, way: Way, run: DagRun, outcome: dict[str, Any], before: int | None) -> None:
        where = f"{ds}, {way}"
        predictions = table(self.env)
        text = str(outcome.get("text", ""))
        by = f"run {run.dag_id}/{run.run_id} (attempt 2)"
        fenced = outcome.get("refused") == "Fenced" and by in text
        self.fenced[ds] = self.report.check(f"{where}: the first attempt is fenced, and says by whom", fenced, outcome)
        (task,) = self.airflow.task_instances(run)
        replaced = run.state == "success" and task["try_number"] == 2
        self.report.check(f"{where}: the replacement succeeds", replaced, f"{run.state}, attempt {task['try_number']}")
        info = predictions.partition(ds)
        right = info is not None and predictions.version() == before and info.digest == self.wanted[ds]
        self.report.check(f"{where}: the replacement's rows stand", right, info)
        for name in ("predictions", "profiles"):
            made = len(versions_of(table(self.env, name), ds))
            self.report.check(f"{where}: one version of the {name}", made == 1, f"{made} versions")

    def announced_once(self, days: tuple[str, ...]) -> None:
        """What listens to predictions was told of each day once."""
        monitoring = dag_id("dev", SPEC.name, "monitoring")
        self.airflow.wait_idle([self.scores, monitoring], timeout=PATIENCE)
        keys = [run.partition_key for run in self.airflow.runs(monitoring)]
        for ds in days:
            self.report.check(f"{ds} is announced once", keys.count(ds) == 1, f"{keys.count(ds)} times")


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{PATIENCE} s went by before {what}")
        time.sleep(0.2)
