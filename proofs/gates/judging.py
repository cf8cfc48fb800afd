"""One case through the real refresh: was it stopped for the right reason, and is all as it was before?"""

from __future__ import annotations

import time
from typing import Any

from imago.errors import ImagoError
from imago.tables.digest import content_digest
from proofs.gates.cases import Case, Outcome
from proofs.gates.variations import Good
from proofs.gates.world import State, World


def judge_bad(world: World, case: Case) -> Outcome:
    """A bad input: refused with the right column and rule, nothing published, the last good version stands."""
    started = time.monotonic()
    before = world.state(case.table, case.ds)
    error: BaseException | None = None
    why: str | None
    summary: Any = None
    try:
        with case.spoil(world):
            try:
                summary = world.refresh(case.table, case.ds)
            except Exception as caught:
                error = caught
            after = world.state(case.table, case.ds)
    except Exception as broken:
        return _outcome("bad", case, started, why=f"the case itself failed: {type(broken).__name__}: {broken}")
    if error is None:
        why = f"not refused: {short(summary)}"
    else:
        why = case.expected.wrong(error, table=case.table, ds=case.ds)
    why = why or moved(before, after)
    if after != before:
        _restore(world, case.table, case.ds)
    return _outcome("bad", case, started, why=why, error=error)


def moved(before: State, after: State) -> str | None:
    """Why the last good version does not stand; None when it does."""
    return None if before == after else f"something was published: {before} became {after}"


def _restore(world: World, table: str, ds: str) -> None:
    world.refresh(table, ds)


def _outcome(part: str, case: Case, started: float, *, why: str | None, error: BaseException | None = None) -> Outcome:
    facts = error.facts if isinstance(error, ImagoError) else {}
    return Outcome(
        part=part,
        name=case.name,
        family=case.family,
        passed=not why,
        why=why or "",
        seen=short(error) if error else "",
        column=facts.get("column"),
        rule=facts.get("rule"),
        seconds=round(time.monotonic() - started, 2),
    )


def short(value: Any) -> str:
    """A text of one line, cut."""
    return str(value).replace("\n", " ")[:400]


def judge_good(world: World, case: Good) -> Outcome:
    """A legitimate variation: published, whatever it warns of; afterwards the day is as it was."""
    started = time.monotonic()
    table, key = world.table(case.table), world.spec.entity_keys
    why, seen = "", ""
    rows = table.require(case.ds)
    try:
        with case.apply(world):
            try:
                seen = short(world.refresh(case.table, case.ds))
            except Exception as error:
                why = f"refused: {short(error)}"
            else:
                if table.require(case.ds).num_rows == 0:
                    why = "nothing is published"
    except Exception as broken:
        why = f"the case itself failed: {type(broken).__name__}: {broken}"
    if content_digest(table.require(case.ds), key) != content_digest(rows, key):
        world.publish_again(case.table, case.ds, rows)
    return Outcome(
        part="good", name=case.name, family=case.family, passed=not why, why=why, seen=seen,
        seconds=round(time.monotonic() - started, 2),
    )  # fmt: skip


def judge_day(world: World, table: str, ds: str) -> Outcome:
    """A day of the year by itself: not refused, and equal to what the range gave."""
    started = time.monotonic()
    why, seen = "", ""
    try:
        summary = world.refresh(table, ds)
        seen = short(summary)
        if summary["unchanged"] != 1:
            why = f"the day alone gives other rows than the range: {seen}"
    except Exception as error:
        why = f"refused: {short(error)}"
    return Outcome(
        part="year", name=f"{table} of {ds}", family="day", passed=not why, why=why, seen=seen,
        seconds=round(time.monotonic() - started, 2),
    )  # fmt: skip
