"""Holds a scoring attempt up just before its commit, in the task's own process; and writes down how it ended.

Airflow's processes read this at their start, since the proof puts a `sitecustomize` that runs it on their PYTHONPATH.
Nothing of Imago is imported here. Two functions are wrapped as soon as somebody imports their module:

- `imago.tables.commits:exchange`, the commit: where the file `{day}.order` lies in the folder, the process takes the
  order away and writes `{day}.stopped` with its own number and its supervisor's. If the order says `stop`, it stops
  itself with SIGSTOP; if it says `wait`, it waits for the file `{day}.go` (the kernel ends a stopped process that
  loses its parent);
- `imago.jobs.scoring:score`: a process that was stopped writes `{day}.outcome` when it comes to an end.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import json
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_COMMIT, _JOB, _PUBLISH = "imago.tables.commits", "imago.jobs.scoring", "imago.tables.publish"


def install(folder: Path, naive: Path | None, way: str) -> None:
    """Looks out for the modules from now on. `naive` is the file of the naive ways, of which `way` is planted."""

    def publish_came(_: ModuleType) -> None:
        if way and naive:
            runpy.run_path(str(naive))["plant"](way)

    came: dict[str, Callable[[ModuleType], None]] = {
        _COMMIT: functools.partial(_wrap_commit, folder),
        _JOB: functools.partial(_wrap_job, folder),
        _PUBLISH: publish_came,
    }
    sys.meta_path.insert(0, _LookOut(came))


class _LookOut(importlib.abc.MetaPathFinder):
    """Finds modules as ever, and tells when one of those that are looked for was executed."""

    def __init__(self, came: dict[str, Callable[[ModuleType], None]]) -> None:
        self.came = came

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name in self.came else None
        if spec is None or spec.loader is None:
            return None
        real = spec.loader.exec_module

        def execute(module: ModuleType) -> None:
            real(module)
            self.came[name](module)

        spec.loader.exec_module = execute  # type: ignore[method-assign]
        return spec


def _wrap_commit(folder: Path, module: ModuleType) -> None:
    real = module.exchange

    @functools.wraps(real)
    def exchange(table: Any, name: str, days: Any, *given: Any, **named: Any) -> Any:
        days = list(days)
        if name == "predictions":
            for ds in days:
                _stop_here(folder, ds)
        return real(table, name, days, *given, **named)

    module.exchange = exchange  # type: ignore[attr-defined]


def _stop_here(folder: Path, ds: str) -> None:
    order = folder / f"{ds}.taken"
    try:
        os.rename(folder / f"{ds}.order", order)
    except FileNotFoundError:
        return
    _write(folder / f"{ds}.stopped", {"pid": os.getpid(), "supervisor": os.getppid()})
    if order.read_text() == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    while order.read_text() == "wait" and not (folder / f"{ds}.go").exists():
        time.sleep(0.05)


def _wrap_job(folder: Path, module: ModuleType) -> None:
    real = module.score

    @functools.wraps(real)
    def score(env: Any, spec: Any, ds: str, *given: Any, **named: Any) -> Any:
        try:
            told = real(env, spec, ds, *given, **named)
        except BaseException as error:
            _ended(folder, ds, {"refused": type(error).__name__, "text": str(error)})
            raise
        _ended(folder, ds, {"changed": told["changed"], "version": told["version"]})
        return told

    module.score = score  # type: ignore[attr-defined]


def _ended(folder: Path, ds: str, outcome: dict[str, Any]) -> None:
    stopped = folder / f"{ds}.stopped"
    if stopped.exists() and json.loads(stopped.read_text())["pid"] == os.getpid():
        _write(folder / f"{ds}.outcome", outcome)


def _write(path: Path, said: dict[str, Any]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(said))
    draft.rename(path)
