"""The worker processes: each has a year of its own, and is told by name what to try there."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imago.days import days_between
from imago.jobs.landing import land
from proofs.gates import corpus, judging, variations
from proofs.gates.cases import Outcome
from proofs.gates.sabotage import all_sabotages
from proofs.gates.sabotage.judging import judge as judge_sabotage
from proofs.gates.world import CONTEXT, FIRST, LAST, TABLES, World, make_world

_WORLD: World | None = None
_FOLDER: tempfile.TemporaryDirectory[str] | None = None


def start(url: str, home: str) -> None:
    """Begins a worker: a folder, one parsed dbt project for all, quiet logs. The world is made by the first task."""
    global _FOLDER
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    _FOLDER = tempfile.TemporaryDirectory(prefix="imago-proof-", ignore_cleanup_errors=True)
    os.environ |= {"IMAGO_HOME": home, "IMAGO_PROOF_URL": url, "IMAGO_PROOF_FOLDER": _FOLDER.name}


def build() -> list[Outcome]:
    """The worker's year: landed, and each table refreshed as one range of 365 days. An outcome for each table."""
    global _WORLD
    world = make_world(os.environ["IMAGO_PROOF_URL"], Path(os.environ["IMAGO_PROOF_FOLDER"]))
    land(world.env, FIRST, LAST, CONTEXT)
    found = []
    for table in TABLES:
        started = time.monotonic()
        summary = world.refresh(table, FIRST, LAST)
        found.append(
            Outcome(
                part="year",
                name=f"{table} of the year in one run",
                family="range",
                passed=summary["days"] == 365,
                seen=str(summary),
                seconds=round(time.monotonic() - started, 1),
            )
        )
    _WORLD = world
    return found


def world() -> World:
    """The worker's year, which is made when it is first asked for."""
    if _WORLD is None:
        build()
    assert _WORLD is not None
    return _WORLD


def bad(name: str) -> Outcome:
    """One bad input."""
    return judging.judge_bad(world(), {case.name: case for case in corpus.cases()}[name])


def good(name: str) -> Outcome:
    """One legitimate variation."""
    return judging.judge_good(world(), {case.name: case for case in variations.cases()}[name])


def sabotage(name: str) -> Outcome:
    """One sabotage of the gate."""
    return judge_sabotage(world(), {one.name: one for one in all_sabotages()}[name])


def day(table: str, ds: str) -> Outcome:
    """One day of the year by itself: it passes, and gives the rows that the range gave."""
    return judging.judge_day(world(), table, ds)


def task(kind: str, *given: Any) -> Outcome:
    """A task by name, as it is sent to a worker."""
    tasks: dict[str, Callable[..., Outcome]] = {"bad": bad, "good": good, "sabotage": sabotage, "year": day}
    return tasks[kind](*given)


def all_days() -> tuple[str, ...]:
    """The days of the year."""
    return days_between(FIRST, LAST)
