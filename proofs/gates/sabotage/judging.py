"""One sabotage through the real refresh of good and new rows: it must stop the run."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import pyarrow as pa

from imago.errors import ImagoError
from proofs.gates import mutators as m
from proofs.gates.cases import DAY, Outcome
from proofs.gates.judging import moved, short
from proofs.gates.sabotage.base import Sabotage
from proofs.gates.spoiling import written
from proofs.gates.world import World

TABLE = "features"


def judge(world: World, sabotage: Sabotage) -> Outcome:
    """The run ends with an error that names itself a refusal (or is killed), and nothing is published."""
    started = time.monotonic()
    before = world.state(TABLE, DAY)
    error: BaseException | None = None
    after, summary = before, None
    why: str | None = None
    try:
        with world.putting_back():
            rel = world.raw("schedule", DAY)
            world.deliver(rel, _news(world.read(rel)))
            spoiled = written(TABLE, sabotage.bad)(world) if sabotage.bad else nullcontext()
            with sabotage.act(world), spoiled:
                try:
                    summary = _run(world, sabotage)
                except Exception as caught:
                    error = caught
                after = world.state(TABLE, DAY)
    except Exception as broken:
        why = f"the sabotage itself failed: {type(broken).__name__}: {broken}"
    if why is None and error is None:
        why = f"not stopped: {short(summary)}"
    if why is None and not isinstance(error, ImagoError) and not sabotage.crashes:
        why = f"stopped by accident, with no refusal that a person can read: {type(error).__name__}: {short(error)}"
    why = why or moved(before, after)
    if after != before:
        world.refresh(TABLE, DAY)
    facts = error.facts if isinstance(error, ImagoError) else {}
    return Outcome(
        part="sabotage", name=sabotage.name, family="sabotage", passed=not why, why=why or "", seen=short(error),
        column=facts.get("column"), rule=facts.get("rule"), seconds=round(time.monotonic() - started, 2),
    )  # fmt: skip


def _run(world: World, sabotage: Sabotage) -> Any:
    env = world.env.model_copy(update={"dbt_target": sabotage.target})
    if sabotage.run is not None:
        return sabotage.run(world)
    return world.refresh(TABLE, DAY, env=env)


def _news(rows: pa.Table) -> pa.Table:
    """The day's plan with five distances told anew: good rows that a run would publish as a new version."""
    return m.added("distance", 1, share=0.005)(rows)
