"""Where and how a refresh is killed: before or after each of its steps, in the middle of a file, or at any moment.

The steps are functions of the product, wrapped in the process that is about to die; the product knows nothing of it.
The signal is SIGKILL, so nothing is tidied up.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from imago.context import RunContext
from imago.environments import Environment

When = Literal["before", "after", "half"]

# Imported once, in the process that the dying ones are forked from, as Airflow's workers are.
PRELOAD = [
    "imago.features.refresh",
    "imago.tables.publish",
    "imago.jobs.features",
    "dbt.cli.main",
    "dbt.adapters.duckdb",
]

# The steps of a refresh, in order, as module:name; the last word is which call of it, where there are several.
STEPS = (
    "imago.tables.delta:Table.draw_fence",
    "imago.features.refresh:contract_of",
    "imago.features.refresh:check_complete",
    "imago.features.refresh:raw_files",
    "imago.features.refresh:check_deliveries",
    "imago.features.refresh:build",
    "imago.dbt.runner:manifest",
    "imago.features.refresh:audit",
    "imago.features.audit_docs:write",
    "imago.tables.publish:by_day",
    "imago.tables.publish:content_digest",
    "imago.tables.publish:Attempt._holds",
    "imago.tables.publish:Attempt._check_fences",
    "imago.tables.files:write",
    "imago.tables.commits:exchange",
    "imago.tables.commits:version_of",
    "imago.ledger.publications:record",
    "imago.tables.publish:Attempt._record",
    "imago.features.refusals:tell_published",
    "imago.features.refusals:tell_warnings",
    "imago.storage:Storage.delete",
)
# Files that are cut in the middle: the audit's pages and the table's Parquet file.
HALVES = ("imago.features.audit_docs:write", "imago.tables.files:write")


@dataclass(frozen=True)
class Kill:
    """One way to die: at a step, or `at` this share of a refresh's usual time."""

    step: str | None = None
    when: When = "before"
    at: float = 0.0

    def __str__(self) -> str:
        if self.step is None:
            return f"at {self.at:.0%} of the time"
        return f"{self.when} {self.step.split(':')[1]}"


def plan(kills: int) -> list[Kill]:
    """Every step before and after, cut files, and the rest at moments spread over the whole refresh; a small number
    takes some of each."""
    whens: tuple[When, ...] = ("before", "after")
    at_steps = [Kill(step, when) for step in STEPS for when in whens]
    at_steps += [Kill(step, "half") for step in HALVES]
    moments = max(kills // 4, kills - len(at_steps))
    if kills - moments < len(at_steps):
        chosen = kills - moments
        at_steps = [at_steps[number * len(at_steps) // chosen] for number in range(chosen)]
    return at_steps + [Kill(at=(number + 0.5) / moments) for number in range(moments)]


def refresh(env: Environment, first_day: str, ds: str, run_id: str, kill: Kill | None, begun: Any, report: Any) -> None:
    """The refresh of one day's features, in a process of its own; dies as `kill` says. `report` gets its summary."""
    import logging

    from imago.jobs import features
    from imago.specs import get_model

    logging.disable(logging.ERROR)
    spec = get_model("flight_delays").model_copy(update={"first_day": first_day})
    if kill is not None and kill.step is not None:
        _arm(kill)
    begun.set()
    summary = features.refresh(env, spec, ds, ds, RunContext(run_id=run_id, code_commit="proof"))
    report.put({"changed": summary["changed"], "version": summary["version"]})


def _arm(kill: Kill) -> None:
    assert kill.step is not None
    module_name, _, path = kill.step.partition(":")
    holder: Any = importlib.import_module(module_name)
    *owners, name = path.split(".")
    for owner in owners:
        holder = getattr(holder, owner)
    real: Callable[..., Any] = getattr(holder, name)

    def dying(*given: Any, **named: Any) -> Any:
        if kill.when == "before":
            _die()
        if kill.when == "half":
            _cut_files()
        done = real(*given, **named)
        _die()
        return done

    setattr(holder, name, dying)


def _cut_files() -> None:
    """The next file is written by half, under the name that it has until it is whole."""
    from imago.storage import Storage

    def cut(self: Storage, filesystem: Any, path: str, data: Any) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=Path(path).parent, suffix=".tmp", delete=False) as file:
            file.write(bytes(data)[: len(data) // 2])
        _die()

    Storage._create = cut  # type: ignore[method-assign]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def days_of(commit: dict[str, Any]) -> list[dict[str, Any]]:
    """What a commit says of each of its days."""
    from imago.tables.commits import PROVENANCE

    said = json.loads(commit.get(PROVENANCE, "{}"))
    return list(said.get("days", {}).values())
