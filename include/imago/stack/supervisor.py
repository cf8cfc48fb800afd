"""`up`, `down` and `status`: how the stack gets from here to there."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from imago.environments import ENVIRONMENT_NAMES
from imago.errors import StackError
from imago.stack import processes
from imago.stack.component import Component
from imago.stack.launch import COMPONENTS, Launch, Report, end_component
from imago.stack.layout import Layout, exclusive, read_env, writing
from imago.stack.ports import choose
from imago.stack.postgres import ensure_databases
from imago.stack.secrets import load_or_make
from imago.stack.settings import StackSettings, given_settings
from imago.stack.state import StackState


def _nothing(component: str, event: str, detail: str) -> None:
    pass


def current_settings(layout: Layout, state: StackState) -> StackSettings:
    """The settings as they were written at the last start."""
    return StackSettings(
        layout=layout, secrets=load_or_make(layout), given=read_env(layout.given_file), ports=dict(state.ports)
    )


def up(layout: Layout, *, report: Report = _nothing) -> StackSettings:
    """Starts what does not run, restarts what died or whose settings changed, leaves the rest alone.

    Ends with a stack in which every component answered, or raises StackError, having ended what this call started.
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
        Launch(settings, state, wanted, report).run()
        state.urls = {component.name: url for component in wanted if (url := component.url(settings))}
        state.save()
        return settings


def _choose_ports(state: StackState, wanted: Sequence[Component], report: Report) -> None:
    """Keeps remembered ports; gives a new one where none is remembered or somebody else took it meanwhile."""
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
            state.ports[name] = choose(
                preferred=before or (component.usual_port if name == component.name else None), taken=others
            )
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
        end_component(state, name, stack_id)
        report(name, "ended", "an external server takes its place")


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
                futures = {name: pool.submit(end_component, state, name, stack_id) for name in group}
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
