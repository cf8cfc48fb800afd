"""The job that follows late and corrected raw files: it builds again what they touch."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import TYPE_CHECKING, Any, Literal

from imago.context import RunContext
from imago.days import days_between, spans
from imago.environments import Environment
from imago.errors import Fenced, ImagoError, MissingPartition, RefusedPartition
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from imago.storage import Storage

log = logging.getLogger(__name__)


def correct(
    env: Environment, spec: ModelSpec, table: Literal["features", "outcomes"], context: RunContext
) -> dict[str, Any]:
    """Builds each published day of `table` again whose raw files changed, days in a row in one run and one commit.

    Works in mode backfill, so nobody is paged. A day that is refused stays as it is and is not tried again before its
    raw files change again. Returns the run's summary; `changed_days` are all whose content this run has changed, also
    in an attempt before this one.
    """
    from imago.features.changes import changes
    from imago.features.refresh import refresh_table
    from imago.storage import Storage

    context = dataclasses.replace(context, mode="backfill")
    storage, memory = Storage(env), f"corrections/{spec.name}/{table}.json"
    found = changes(env, spec, table)
    given_up = {ds: mark for ds, mark in _read(storage, memory).items() if ds in found}
    waiting = [ds for ds in sorted(found) if given_up.get(ds) != found[ds].fingerprint]
    refused: dict[str, str] = {}
    rebuilt, overtaken = 0, 0
    try:
        todo = spans(waiting)
        while todo:
            first, last = todo.pop(0)
            days = days_between(first, last)
            try:
                refresh_table(env, spec, table, first, last, context)
                rebuilt += len(days)
            except Fenced as fenced:
                log.info("%s", fenced)
                overtaken += len(days)
            except (RefusedPartition, MissingPartition) as error:
                log.warning("%s", error)
                bad, rest = split(days, error)
                refused |= dict.fromkeys(bad, str(error))
                todo = [*rest, *todo]
    finally:
        for ds in waiting:
            given_up.pop(ds, None)
        given_up |= {ds: found[ds].fingerprint for ds in refused}
        _write(storage, memory, given_up)
    return {
        "table": table,
        "touched": {ds: "; ".join(found[ds].reasons) for ds in waiting},
        "rebuilt": rebuilt,
        "overtaken": overtaken,
        "refused": refused,
        "given_up": sorted(set(given_up) - set(refused)),
        "changed_days": _changed(env, spec.name, table, context.run_id),
    }


def split(days: tuple[str, ...], error: ImagoError) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """The days that a refusal of all of them is about, and the rest as ranges that are worth another try.

    The refusal says so itself. When it speaks of all its days at once they are tried in halves, unless it is about a
    raw file, which each of the named days is made of.
    """
    first, _, last = str(error.facts.get("partition", "")).partition("..")
    named = tuple(ds for ds in days if first <= ds <= (last or first))
    if len(days) == 1 or (named and (len(named) < len(days) or "file" in error.facts)):
        bad = named or days
        return bad, spans(set(days) - set(bad))
    middle = len(days) // 2
    return (), [(days[0], days[middle - 1]), (days[middle], days[-1])]


def _changed(env: Environment, model: str, table: str, run_id: str) -> list[str]:
    from sqlalchemy import select

    from imago.ledger import connect
    from imago.ledger.schema import publications

    query = select(publications.c.ds).where(
        publications.c.model == model,
        publications.c.table_name == table,
        publications.c.run_id == run_id,
        publications.c.changed,
    )
    with connect(env).connect() as connection:
        return sorted(set(connection.execute(query).scalars()))


def _read(storage: Storage, rel: str) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(storage.read_bytes(rel))
    except FileNotFoundError:
        return {}
    return found


def _write(storage: Storage, rel: str, given_up: dict[str, str]) -> None:
    if given_up != _read(storage, rel):
        storage.write_bytes(rel, json.dumps(given_up, indent=1, sort_keys=True).encode())
