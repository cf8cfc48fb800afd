"""Silence: what dies without a word is reported all the same, and in time.

On a real embedded Airflow, with `imago watch` beside it as cron would run it: a task, its supervisor, the delivery and
the scheduler are killed with SIGKILL, a run never starts, a DAG is paused. Each has to be read in the channel before
its bound: the time after which Airflow itself can know it, plus one interval of the watch and what it takes.

The small size asks the same of `imago watch` against an Airflow that answers by script.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psutil

from proofs.report import Report

ROOT = Path(__file__).resolve().parents[2]
EVERY = 20.0  # seconds between two looks of the watch
SLACK = 70.0  # for one look, one delivery and a machine that is busy with all of Airflow
HEARTBEAT = 300.0  # Airflow's own time until a task without a supervisor counts as lost
SCHEDULER = 120.0  # a scheduler that is silent for so long counts as dead
MODEL = "flight_delays"
UNTIL_THE_TICK = 600.0  # seconds for the stack to start and the watch to look once, before the day's runs fall due
# The shipped model, in a world that goes on today, whose daily runs fall due soon.
SPECS = """
__path__.append({shipped!r})
from imago_models.flight_delays import FLIGHT_DELAYS
from imago.specs import Schedules
MODELS = (FLIGHT_DELAYS.model_copy(update={{"last_day": None, "schedules": Schedules(daily={cron!r})}}),)
"""


def run(url: str, home: Path, size: str) -> Report:
    """All six silences."""
    if size == "small":
        from proofs.monitoring import silence_scripted

        return silence_scripted.run(url, home)
    report = Report("silence")
    with _stack(home) as world, _watching(world):
        _prepare(world)
        cases: list[tuple[str, float, Callable[[_World], _Silence]]] = [
            ("a paused DAG", EVERY + SLACK, _paused),
            ("SIGKILL of a supervisor", HEARTBEAT + EVERY + SLACK, _kill_supervisor),
            ("SIGKILL of a task", EVERY + SLACK, _kill_task),
            ("SIGKILL of the delivery", EVERY + SLACK, _kill_delivery),
            ("a run that never starts", EVERY + SLACK, _never_started),
        ]
        begun = [(name, bound, act(world)) for name, bound, act in cases]
        for name, bound, silence in begun:
            _judge(report, world, name, bound, silence)
        # Last: nothing else is noticed by an Airflow without it.
        _judge(report, world, "SIGKILL of the scheduler", SCHEDULER + EVERY + SLACK, _kill_scheduler(world))
    report.say(
        f"{report.cases - len(report.failures)} of {report.cases} reported in time; imago watch every {EVERY:.0f} s"
    )
    return report


@dataclass(frozen=True)
class _Silence:
    """When it began, and what a message about it says."""

    began: float
    words: tuple[str, ...]


@dataclass
class _World:
    """The stack, and the watch's gate."""

    home: Path
    variables: dict[str, str]
    airflow: Any
    state: Any
    tick: float
    watch: threading.Lock = field(default_factory=threading.Lock)

    def dag(self, stage: str) -> str:
        return f"dev__{MODEL}__{stage}"

    def pid(self, component: str) -> int:
        return int(self.state().components[component].pid)

    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(
            f"{self.variables['IMAGO_SANDBOX_URL']}/api-sandbox/messages", timeout=30, trust_env=False
        ).json()["messages"]
        return found

    def told_at(self, silence: _Silence) -> float | None:
        """When a message with all its words was posted since it began, in the text or the blocks."""
        for message in self.messages():
            said = f"{message['text']} {message['blocks']}"
            if float(message["ts"]) >= silence.began and all(word in said for word in silence.words):
                return float(message["ts"])
        return None


def _judge(report: Report, world: _World, name: str, bound: float, silence: _Silence) -> None:
    deadline = silence.began + bound
    told = world.told_at(silence)
    while told is None and time.time() < deadline:
        time.sleep(1.0)
        told = world.told_at(silence)
    if report.check(f"{name} is reported within {bound:.0f} s", told is not None and told <= deadline, silence.words):
        assert told is not None
        report.say(f"{name}: {max(0.0, told - silence.began):.0f} s (bound {bound:.0f} s)")


def _never_started(world: _World) -> _Silence:
    """Somebody breaks a DAG file before its tick; a minute after the tick the day is late."""
    file = world.home / "project" / "dags" / "outcome_refresh.py"
    file.unlink()
    # Airflow reads no file that does not hold both words.
    file.write_text("from airflow.sdk import DAG  # an editor's accident(\n(", encoding="utf-8")
    while not world.airflow.call("GET", "/importErrors")["import_errors"]:
        time.sleep(1.0)
    if time.time() > world.tick:
        raise RuntimeError(f"it took longer than {UNTIL_THE_TICK:.0f} s to come so far: give it more")
    return _Silence(world.tick + 60.0, ("No run of", world.dag("outcome_refresh")))


def _paused(world: _World) -> _Silence:
    world.airflow.call("PATCH", f"/dags/{world.dag('training')}", json={"is_paused": True})
    return _Silence(time.time(), (world.dag("training"), "is paused"))


def _kill_task(world: _World) -> _Silence:
    dag = world.dag("outcome_refresh")
    run_id = _load(world, dag, "2013-01-01", "2013-04-30")
    task = _running_task(world, dag, "refresh", run_id)
    began = time.time()
    task.kill()
    world.airflow.wait(world.airflow.run(dag, run_id), timeout=300)  # its second attempt, before the file breaks
    return _Silence(began, ("of task refresh was killed", "outcome_refresh"))


def _kill_supervisor(world: _World) -> _Silence:
    dag = world.dag("feature_refresh")
    task = _running_task(world, dag, "refresh", _load(world, dag, "2013-01-01", "2013-04-30"))
    supervisor = task.parent()
    assert supervisor is not None
    began = time.time()
    supervisor.kill()
    task.kill()  # the orphan could still end its work; here the machine is gone
    return _Silence(began, ("of task refresh was killed", "feature_refresh"))


def _kill_delivery(world: _World) -> _Silence:
    dag = "dev__alert_delivery"
    sandbox = psutil.Process(world.pid("slack"))
    with world.watch:  # so that nobody else delivers meanwhile
        _raise_something(world)
        sandbox.suspend()
        try:
            run = world.airflow.trigger(dag)
            task = _running_task(world, dag, "deliver", run.run_id)
            time.sleep(1.0)
            began = time.time()
            task.kill()
        finally:
            sandbox.resume()
    return _Silence(began, ("of task deliver was killed", dag))


def _kill_scheduler(world: _World) -> _Silence:
    began = time.time()
    os.kill(world.pid("airflow-scheduler"), signal.SIGKILL)
    return _Silence(began, ("scheduler does not run",))


def _load(world: _World, dag: str, first: str, last: str) -> str:
    """A run that takes a while: months of one table in one dbt run."""
    run = world.airflow.trigger(dag, conf={"from_day": first, "to_day": last, "announce": "none", "mode": "live"})
    return str(run.run_id)


def _running_task(world: _World, dag: str, task_id: str, run_id: str) -> psutil.Process:
    """The process of a task, once it works."""
    deadline = time.monotonic() + 180
    path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task_id}"
    while time.monotonic() < deadline:
        told = world.airflow.call("GET", path)
        if told["state"] == "running" and told["pid"]:
            return psutil.Process(told["pid"])
        time.sleep(0.2)
    raise RuntimeError(f"{dag} has not started {task_id} within 180 s")


def _raise_something(world: _World) -> None:
    from imago.alerts.outbox import Alert, raise_alert
    from imago.context import RunContext
    from imago.environments import load_environment
    from imago.ledger import connect

    alert = Alert(
        model=MODEL, rule="volume", subject="rows", title="a day has few rows", why="w", did="d", next_step="n"
    )
    with connect(load_environment("dev", world.variables)).begin() as connection:
        raise_alert(connection, alert, RunContext(run_id="proof"))


def _prepare(world: _World) -> None:
    """Lands what the two runs need, and waits until Airflow has read its DAGs and the watch has looked once."""
    from imago.context import RunContext
    from imago.environments import load_environment
    from imago.jobs.landing import land

    land(load_environment("dev", world.variables), "2013-01-01", "2013-04-30", RunContext.local())
    deadline = time.monotonic() + 180
    while len(world.airflow.dag_ids("dev__")) < 10:
        if time.monotonic() > deadline:
            raise RuntimeError(f"Airflow knows only {world.airflow.dag_ids('dev__')} after 180 s")
        time.sleep(1.0)
    with world.watch:
        pass


@contextmanager
def _stack(home: Path) -> Iterator[_World]:
    """A stack of its own: the real DAGs, and the shipped model in a world that goes on today."""
    from imago.airflow_api import AirflowApi
    from imago.stack import Layout, environment_variables
    from imago.stack.state import StackState
    from imago.stack.supervisor import down, up

    project, specs = home / "project", home / "specs"
    (project / "dags").mkdir(parents=True)
    for file in (ROOT / "dags").glob("*.py"):
        (project / "dags" / file.name).symlink_to(file)
    (project / "airflow_settings.yaml").symlink_to(ROOT / "airflow_settings.yaml")
    (specs / "imago_models").mkdir(parents=True)
    tick = datetime.fromtimestamp(time.time() + UNTIL_THE_TICK, ZoneInfo("America/New_York")).replace(second=0)
    cron = f"{tick.minute} {tick.hour} * * *"
    text = SPECS.format(shipped=str(ROOT / "include" / "imago_models"), cron=cron)
    (specs / "imago_models" / "__init__.py").write_text(text, encoding="utf-8")
    layout = Layout(root=home / "state", project=project)
    given = {
        "IMAGO_HOME": str(layout.root),
        "IMAGO_STORAGE": "folder",
        "IMAGO_DEV_LATE_AFTER_MINUTES": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(specs), str(ROOT), os.environ.get("PYTHONPATH", "")))),
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ |= given
    try:
        up(layout, report=lambda name, event, detail: print(f"  {name} {event} {detail}", file=sys.stderr))
        variables = environment_variables(layout.root)
        with AirflowApi.from_variables(variables=variables) as airflow:
            yield _World(home, variables, airflow, lambda: StackState(layout), tick.timestamp())
    finally:
        down(layout)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _watching(world: _World) -> Iterator[None]:
    """`imago watch` again and again, as cron would; its exit code is none of the proof's business."""
    stop = threading.Event()
    command = [str(Path(sys.executable).parent / "imago"), "watch", "--memory", str(world.home / "watch.json")]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}

    def work() -> None:
        with (world.home / "watch.log").open("ab") as log:
            while not stop.is_set():
                with world.watch:
                    subprocess.run(
                        command, env=variables, cwd=world.home / "project", stdout=log, stderr=log, check=False,
                        timeout=300,
                    )  # fmt: skip
                stop.wait(EVERY)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
