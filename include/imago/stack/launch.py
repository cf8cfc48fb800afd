"""One start of the stack: everything that can start side by side does."""

from __future__ import annotations

import datetime
import hashlib
import json
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import psutil

from imago.environments import ENVIRONMENT_NAMES, load_environment
from imago.errors import StackError
from imago.stack import processes
from imago.stack.airflow_services import AirflowApi, AirflowDagProcessor, AirflowScheduler, AirflowTriggerer
from imago.stack.component import Component
from imago.stack.objects import ObjectStore
from imago.stack.ports import is_free
from imago.stack.postgres import Postgres
from imago.stack.services import Endpoint, MLflow, SlackSandbox
from imago.stack.settings import StackSettings
from imago.stack.state import Running, StackState

COMPONENTS: tuple[Component, ...] = (
    Postgres(),
    ObjectStore(),
    SlackSandbox(),
    MLflow(),
    Endpoint(),
    AirflowApi(),
    AirflowScheduler(),
    AirflowDagProcessor(),
    AirflowTriggerer(),
)
# A running component that says nothing for so many seconds is started again.
_SILENCE = 20.0
# Told of each step: component, "starting" | "ready" | "running" | "restarting" | "ended", and a word more.
Report = Callable[[str, str, str], None]


class Launch:
    """One `up`: a thread for each component, which waits for what it needs."""

    def __init__(self, settings: StackSettings, state: StackState, wanted: Sequence[Component], report: Report) -> None:
        self.settings, self.state, self.wanted, self.report = settings, state, wanted, report
        self.started: list[str] = []
        self.stop = threading.Event()
        # Besides the components, "ledger" is something to wait for: the migrated schemas.
        self.ready = {name: threading.Event() for name in ("ledger", *(component.name for component in wanted))}

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
                end_component(self.state, name, self.settings.secrets.stack_id)
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
        if not self._wait_for(component.needs):
            return
        if running is not None and running.alive and running.fingerprint == fingerprint:
            # Patient: on a busy machine a healthy server is slow to answer, and one that it needs may just be back.
            answered = processes.wait_for(
                lambda: component.ready(settings), alive=lambda: running.alive, patience=_SILENCE
            )
            if answered:
                self.ready[component.name].set()
                self.report(component.name, "running", "")
                return
        if running is not None:
            if not running.alive:
                why = "it had ended"
            elif running.fingerprint != fingerprint:
                why = "its settings changed"
            else:
                why = "it did not answer"
            end_component(state, component.name, settings.secrets.stack_id)
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
        self.ready["ledger"].set()
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


def end_component(state: StackState, name: str, stack_id: str) -> None:
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
