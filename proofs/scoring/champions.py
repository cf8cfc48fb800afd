"""Which champion? Three of them over many days: `as-was` gives the stored files again, and the ledger says who reigned.

The days are scored live, one after the other, while the ledger grows. Then it goes on: a rollback, and a promotion that
is effective in the middle of the past. No day may come out otherwise for that; not when it is scored over what is
stored, and not when the whole table was lost and every day is made from what the ledger recorded.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from imago import ledger
from imago.days import days_between
from imago.environments import Environment
from imago.errors import NoChampion
from imago.jobs import scoring
from imago.ledger import champions
from imago.scoring.choice import AS_WAS, choose
from proofs.aftermath import versions_of
from proofs.postgres import new_environment
from proofs.report import Report
from proofs.scoring.rows import rows_digest, stored_rows
from proofs.scoring.world import BACKFILL, CONTEXT, SPEC, World, crown, table

YEAR = days_between("2013-01-01", "2013-12-31")
ASKED = 20  # random days
ROWS = 60  # of the ledger that is asked for them


def run(url: str, world: World) -> Report:
    """The days of the world with its champions, and random days of a long ledger."""
    report = Report("champions")
    with tempfile.TemporaryDirectory(prefix="imago-champions-") as folder:
        env = new_environment(url, Path(folder))
        stored = lived(env, world)
        _as_was(report, env, world, stored)
        _replayed(report, new_environment(url, Path(folder) / "long"), world)
    return report


def lived(env: Environment, world: World) -> dict[str, pa.Table]:
    """Every day as it was scored at its time, by who reigned then; its rows, as they are stored."""
    world.furnish(env, world.plan.days, reigns=0)
    coming = list(world.reigns)
    for ds in world.plan.days:
        while coming and coming[0].effective_ds <= ds:
            world.crown(env, coming.pop(0))
        scoring.score(env, SPEC, ds, CONTEXT)
    return {ds: stored_rows(table(env), ds) for ds in world.plan.days}


def goes_on(env: Environment, world: World) -> None:
    """The ledger goes on: back to the first champion, and a promotion that is effective in the middle of the past."""
    days = world.plan.days
    first, second, _ = world.reigns
    uri = table(env).storage.uri
    crown(env, first, action="rollback", effective_ds=days[-1], artifact_uri=uri(first.folder))
    crown(env, second, effective_ds=days[len(days) // 4], artifact_uri=uri(second.folder))


def _as_was(report: Report, env: Environment, world: World, stored: Mapping[str, pa.Table]) -> None:
    goes_on(env, world)
    predictions = table(env)
    versions = {rows.column("model_version")[0].as_py() for rows in stored.values()}
    report.check("three champions scored the days", len(versions) == len(world.reigns), versions)
    for ds, rows in stored.items():
        told = scoring.score(env, SPEC, ds, BACKFILL)
        same = not told["changed"] and len(versions_of(predictions, ds)) == 1
        report.check(f"{ds} over what is stored", same and stored_rows(predictions, ds).equals(rows), told)
    shutil.rmtree(Path(env.storage_root) / predictions.relative)
    equal = 0
    for ds, rows in stored.items():
        told = scoring.score(env, SPEC, ds, BACKFILL)
        again = stored_rows(predictions, ds)
        row_for_row = again.equals(rows) and rows_digest(again) == rows_digest(rows)
        equal += report.check(f"{ds} made anew", row_for_row and told["changed"], told)
    other = scoring.score(env, SPEC, world.plan.days[0], BACKFILL, champion="today")
    report.check("`today` gives other rows, so that equal ones say something", other["changed"], other)
    report.say(f"`as-was` equals the stored files of {equal} of {len(stored)} days, after the ledger went on")


def _replayed(report: Report, env: Environment, world: World) -> None:
    """Random days asked of a long ledger, and of a replay of its raw rows."""
    chance = random.Random(2013)
    for place in range(ROWS):
        crown(
            env,
            chance.choice(world.reigns),
            action="rollback" if place and chance.random() < 0.2 else "promote",
            effective_ds=chance.choice(YEAR[30:]),
        )
    with ledger.connect(env).connect() as connection:
        raw = [dict(row) for row in connection.execute(sa.text("select * from champions")).mappings()]
        chance.shuffle(raw)
        right = 0
        for ds in chance.sample(YEAR, ASKED):
            try:
                told = choose(connection, SPEC.name, ds, AS_WAS).id
            except NoChampion:
                told = None
            right += report.check(f"who reigned on {ds}", told == replay(raw, ds), f"the ledger says row {told}")
        newest = champions.reigning(connection, SPEC.name)
    report.check("who reigns", newest is not None and newest.id == replay(raw, "9999-12-31"))
    report.say(f"who reigned: the ledger of {ROWS} rows and a replay agree on {right} of {ASKED} random days")


def replay(rows: Sequence[Mapping[str, Any]], ds: str) -> int | None:
    """The row that decides a day, told from the raw rows alone: reigns are laid over one another in the order in which
    they were decided, and each covers all days from its first one on."""
    holder: int | None = None
    for row in sorted(rows, key=lambda one: one["decided_at"]):
        if row["effective_ds"] <= ds:
            holder = row["id"]
    return holder
