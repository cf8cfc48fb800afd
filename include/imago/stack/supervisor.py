"""`up`, `down` and `status`: which components run, and how the stack gets from here to there."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from imago.environments import ENVIRONMENT_NAMES, load_environment
from imago.errors import StackError
from imago.stack import processes
from imago.stack.airflow_services import AirflowApi, AirflowDagProcessor, AirflowScheduler, AirflowTriggerer
from imago.stack.component import Component
from imago.stack.layout import Layout, exclusive, read_json, write_private, writing
from imago.stack.objects import ObjectStore
from imago.stack.ports import choose, is_free
from imago.stack.postgres import Postgres, ensure_databases
from imago.stack.secrets import load_or_make
from imago.stack.services import MLflow, SlackSandbox
from imago.stack.settings import StackSettings, given_settings

COMPONENTS: tuple[Component, ...] = (
    Postgres(),
    ObjectStore(),
    SlackSandbox(),
    MLflow(),
    AirflowApi(),
    AirflowScheduler(),
    AirflowDagProcessor(),
    AirflowTriggerer(),
)
# Told of each step: component, "starting" | "ready" | "running" | "restarting" | "ended", and a word more.
Report = Callable[[str, str, str], None]


@dataclass(frozen=True)
class Running:
    """What is written down of a started component."""

    name: str
    pid: int
    mark: str
    fingerprint: str
    started_at: str

    @property
    def alive(self) -> bool:
        return processes.is_alive(self.pid, self.mark)


class StackState:
    """`stack.json`: ports and started components. Written after every change, so that a crash forgets nobody."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        content = read_json(layout.state_file)
        self.ports: dict[str, int] = dict(content.get("ports", {}))
        self.urls: dict[str, str] = dict(content.get("urls", {}))
        self.components = {name: Running(**entry) for name, entry in content.get("components", {}).items()}

    def save(self) -> None:
        content = {
            "ports": self.ports,
            "urls": self.urls,
            "components": {name: asdict(entry) for name, entry in sorted(self.components.items())},
        }
        write_private(self._layout.state_file, json.dumps(content, indent=1) + "\n")

    def put(self, entry: Running) -> None:
        with self._lock:
            self.components[entry.name] = entry
            self.save()

    def drop(self, name: str) -> None:
        with self._lock:
            if self.components.pop(name, None) is not None:
                self.save()


def _nothing(component: str, event: str, detail: str) -> None:
    pass


def current_settings(layout: Layout, state: StackState) -> StackSettings:
    """The settings as they were written at the last start."""
    from imago.stack.layout import read_env

    return StackSettings(
        layout=layout, secrets=load_or_make(layout), given=read_env(layout.given_file), ports=dict(state.ports)
    )


def up(layout: Layout, *, report: Report = _nothing) -> StackSettings:
    """Starts what does not run, restarts what died or whose settings changed, leaves the rest alone.

    Ends with a stack in which every component answered, or raises StackError; then what this call started is ended again.
    """
    layout.prepare()
    with exclusive(layout):
        state = StackState(layout)
        secrets = load_or_make(layout)
        given = given_settings(layout)
        draft = StackSettings(layout=layout, secrets=secrets, given=given, ports={})
        wanted = tuple(component for component in COMPONENTS if component.wanted(draft))
        _end_unwanted(state, secrets.stack_id, {component.name for component in wanted}, report)
        _choose_ports(state, wanted, report)
        settings = StackSettings(layout=layout, secrets=secrets, given=given, ports=dict(state.ports))
        _check_external(settings)
        settings.write()
        for name in ("imago", "airflow"):
            layout.folder("logs", name)
        if not settings.embedded_postgres:
            ensure_databases(settings)
        _Launch(settings, state, wanted, report).run()
        state.urls = {component.name: url for component in wanted if (url := component.url(settings))}
        state.save()
        return settings


def _choose_ports(state: StackState, wanted: Sequence[Component], report: Report) -> None:
    """Keeps remembered ports; gives a new one where none is remembered or somebody else took it meanwhile."""
    # Names that are looked up even when an external server stands in.
    for component in wanted:
        running = state.components.get(component.name)
        if running is not None and running.alive and all(port in state.ports for port in component.ports):
            continue
        if running is not None:
            # What a killed leader left behind may still hold the port.
            processes.end(processes.family(running.pid, running.mark), gently=None, patience=0)
        for name in component.ports:
            before = state.ports.get(name)
            others = {port for other, port in state.ports.items() if other != name}
            state.ports[name] = choose(preferred=before or component.usual_ports.get(name), taken=others)
            if before and state.ports[name] != before:
                report(component.name, "moved", f"port {before} is taken by another program; using {state.ports[name]}")
    state.save()


def _check_external(settings: StackSettings) -> None:
    if settings.given.get("IMAGO_STORAGE", "s3") == "folder":
        for name in ENVIRONMENT_NAMES:
            settings.layout.folder("storage", name)
    elif not settings.embedded_s3:
        missing = [
            variable
            for name in settings.hosted
            for field in ("STORAGE_ROOT", "S3_ACCESS_KEY", "S3_SECRET_KEY")
            if (variable := f"IMAGO_{name.upper()}_{field}") not in settings.given
        ]
        if missing:
            raise StackError(
                "IMAGO_S3_ENDPOINT names an S3 server, and its buckets and keys are not given",
                seen=f"missing: {', '.join(missing)}",
                next_step="set them: one bucket and one key pair for each environment",
            )


def _end_unwanted(state: StackState, stack_id: str, wanted: set[str], report: Report) -> None:
    for name in set(state.components) - wanted:
        _end_component(state, name, stack_id)
        report(name, "ended", "an external server takes its place")


class _Launch:
    """One `up`: a thread for each component, which waits for what it needs."""

    def __init__(self, settings: StackSettings, state: StackState, wanted: Sequence[Component], report: Report) -> None:
        self.settings, self.state, self.wanted, self.report = settings, state, wanted, report
        self.started: list[str] = []
        self.stop = threading.Event()
        self.ready = {component.name: threading.Event() for component in wanted}
        self.ledgers = threading.Event()

    def run(self) -> None:
        try:
            with ThreadPoolExecutor(max_workers=len(self.wanted) + 1) as pool:
                futures: list[Future[None]] = [pool.submit(self._start, component) for component in self.wanted]
                futures.append(pool.submit(self._migrate_ledgers))
                try:
                    pending = set(futures)
                    while pending:
                        done, pending = wait(pending, return_when=FIRST_COMPLETED)
                        for future in done:
                            future.result()
                except BaseException:
                    # Ctrl-C included: the other threads must not wait for what will never be ready.
                    self.stop.set()
                    raise
        except BaseException:
            for name in reversed(self.started):
                _end_component(self.state, name, self.settings.secrets.stack_id)
            raise

    def _wait_for(self, names: Sequence[str]) -> bool:
        for name in names:
            while name in self.ready and not self.ready[name].wait(0.1):
                if self.stop.is_set():
                    return False
        return not self.stop.is_set()

    def _start(self, component: Component) -> None:
        settings, state = self.settings, self.state
        environment = component.environment(settings)
        fingerprint = _fingerprint(component.command(settings), environment)
        running = state.components.get(component.name)
        if running is not None and running.alive and running.fingerprint == fingerprint and component.ready(settings):
            self.ready[component.name].set()
            self.report(component.name, "running", "")
            return
        if not self._wait_for(component.needs):
            return
        if running is not None:
            if not running.alive:
                why = "it had ended"
            elif running.fingerprint != fingerprint:
                why = "its settings changed"
            else:
                why = "it did not answer"
            _end_component(state, component.name, settings.secrets.stack_id)
            self.report(component.name, "restarting", why)
        began = time.monotonic()
        self.report(component.name, "starting", "")
        component.prepare(settings)
        started = processes.spawn(
            component.command(settings),
            environment=settings.process_environment(component.name, environment),
            log=settings.layout.log(component.name),
            folder=settings.layout.project,
        )
        self.started.append(component.name)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        state.put(Running(component.name, started.pid, started.mark, fingerprint, now))
        ok = processes.wait_for(
            lambda: component.ready(settings),
            alive=lambda: not started.died() and not self.stop.is_set(),
            patience=component.patience,
        )
        if self.stop.is_set():
            return
        if not ok:
            raise _did_not_start(component, settings, died=started.died())
        component.after(settings)
        self.ready[component.name].set()
        self.report(component.name, "ready", f"{time.monotonic() - began:.1f} s")

    def _migrate_ledgers(self) -> None:
        if not self._wait_for(("postgres",)):
            return
        from imago.ledger import migrate

        variables = self.settings.imago_variables()
        names = ENVIRONMENT_NAMES if self.settings.embedded_postgres else self.settings.hosted
        for name in names:
            migrate(load_environment(name, variables))
        self.report("ledger", "ready", ", ".join(names))


def _fingerprint(command: Sequence[str], environment: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([list(command), sorted(environment.items())]).encode()).hexdigest()[:16]


def _did_not_start(component: Component, settings: StackSettings, *, died: bool) -> StackError:
    log = settings.layout.log(component.name)
    tail = log.read_text(errors="replace").splitlines()[-40:] if log.exists() else []
    text = "\n".join(tail)
    step = f"read {log}"
    taken = [port for name in component.ports if not is_free(port := settings.ports[name])]
    if "No space left on device" in text or "Disk quota exceeded" in text:
        step = "free some room on the disk, or point IMAGO_HOME at a folder on another disk, then run `imago up` again"
    elif died and taken and "ddress already in use" in text:
        step = f"another program took port {taken[0]} at that moment: run `imago up` again, which picks another"
    elif "Cannot allocate memory" in text or "MemoryError" in text:
        step = "free some memory (the stack needs about 2 GB), then run `imago up` again"
    last = next((line for line in reversed(tail) if line.strip()), "no output")
    what = "ended while starting" if died else f"did not answer within {component.patience:.0f} s"
    return StackError(f"{component.title} {what}: {last.strip()[:300]}", next_step=step)


def _end_component(state: StackState, name: str, stack_id: str) -> None:
    """Ends one component with everything that it started, and forgets it."""
    running = state.components.get(name)
    if running is None:
        return
    component = next((entry for entry in COMPONENTS if entry.name == name), None)
    gently = component.stop_signal if component else signal.SIGTERM
    patience = component.stop_patience if component else 5.0
    leader = [psutil.Process(running.pid)] if running.alive and psutil.pid_exists(running.pid) else []
    everyone = {
        process.pid: process
        for process in (*processes.family(running.pid, running.mark), *processes.marked(stack_id, component=name))
    }
    # The leader is asked first: it knows how to end its own children, and Postgres must be the one to end its own.
    if name == "postgres":
        processes.end(leader, gently=gently, patience=patience)
        processes.end(everyone.values(), gently=None, patience=0)
    else:
        processes.end(everyone.values(), gently=gently, patience=patience)
    state.drop(name)


def down(layout: Layout, *, report: Report = _nothing) -> list[str]:
    """Ends exactly what `up` started, and what that started; returns the names of the components that it ended."""
    if not layout.state_file.exists():
        return []
    with exclusive(layout):
        state = StackState(layout)
        stack_id = load_or_make(layout).stack_id
        ended: list[str] = []
        # Airflow first: its tasks use the others. Postgres last.
        for group in (
            [name for name in state.components if name.startswith("airflow")],
            [name for name in state.components if not name.startswith(("airflow", "postgres"))],
            [name for name in state.components if name == "postgres"],
        ):
            with ThreadPoolExecutor(max_workers=8) as pool:
                futures = {name: pool.submit(_end_component, state, name, stack_id) for name in group}
            for name, future in futures.items():
                future.result()
                ended.append(name)
                report(name, "ended", "")
        # What escaped its session and its parent still carries the stack's id.
        processes.end(processes.marked(stack_id), gently=signal.SIGTERM, patience=2)
        return ended


def status(layout: Layout) -> list[dict[str, Any]]:
    """One row for each component: name, title, state (running, silent, ended, stopped), pid, url, memory in bytes."""
    state = StackState(layout)
    settings = current_settings(layout, state) if layout.secrets_file.exists() else None
    rows = []
    for component in COMPONENTS:
        if settings is not None and not component.wanted(settings):
            continue
        running = state.components.get(component.name)
        row: dict[str, Any] = {"name": component.name, "title": component.title, "state": "stopped", "pid": None}
        row |= {"url": None, "memory": None, "started_at": None}
        if running is not None and settings is not None:
            row |= {"pid": running.pid, "started_at": running.started_at, "url": component.url(settings)}
            if running.alive:
                row["state"] = "running" if component.ready(settings) else "silent"
                row["memory"] = processes.memory_bytes(processes.family(running.pid, running.mark))
            else:
                row["state"] = "ended"
        rows.append(row)
    return rows


def write_check(layout: Layout) -> None:
    """Raises StackError when the state folder cannot be written; used by the doctor."""
    with writing(layout.root):
        if layout.root.exists() and not os.access(layout.root, os.W_OK):
            raise StackError(f"{layout.root} cannot be written", next_step="make it writable for you")
