"""Which champion scores a day."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from imago.errors import ImagoError, NoChampion
from imago.ledger import champions
from imago.ledger.champions import Champion
from imago.names import AS_WAS, CHAMPION_PATTERN, TODAY


def choose(
    connection: Connection, model: str, ds: str, choice: str, stored: Mapping[str, Any] | None = None
) -> Champion:
    """The champion that scores `ds`, by the ledger: see `pick`."""
    return pick(champions.history(connection, model), model, ds, choice, stored)


def pick(
    rows: Sequence[Champion], model: str, ds: str, choice: str, stored: Mapping[str, Any] | None = None
) -> Champion:
    """The champion that scores `ds`. `rows` is the model's whole history, oldest first; `stored` are the inputs of the
    partition that is published already, if there is one.

    - `as-was`: the row recorded in the stored partition; else the latest row that is effective on that day. So a
      partition that was scored again with `today` or a version keeps that champion from then on.
    - `today`: the latest row.
    - a version: the latest row of that version.

    Raises NoChampion, which names the options that are left.
    """
    check_choice(choice)
    if choice == AS_WAS:
        return _as_was(rows, model, ds, stored)
    matching = [row for row in rows if choice in (TODAY, row.version)]
    if matching:
        return matching[-1]
    if choice == TODAY:
        raise NoChampion("nobody reigns yet", model=model, partition=ds, next_step=_FIRST)
    raise NoChampion(
        f"version {choice} never reigned",
        model=model,
        partition=ds,
        allowed=", ".join([AS_WAS, TODAY, *_versions(rows)]),
        seen=choice,
        next_step="choose an allowed champion",
    )


def check_choice(choice: str) -> str:
    """The choice back, when it could be one."""
    if not isinstance(choice, str) or not re.fullmatch(CHAMPION_PATTERN, choice):
        raise ImagoError(
            f"{choice!r} chooses no champion",
            rule="champion",
            allowed=f"{AS_WAS}, {TODAY}, or the number of a version",
            seen=choice,
            next_step="choose an allowed champion",
        )
    return choice


_FIRST = "run training and deployment for this model first"


def _as_was(rows: Sequence[Champion], model: str, ds: str, stored: Mapping[str, Any] | None) -> Champion:
    recorded = (stored or {}).get("champion_id")
    if recorded is not None:
        for row in rows:
            if row.id == recorded:
                return row
        raise NoChampion(
            f"the stored partition was scored by ledger entry {recorded}, which this ledger does not hold",
            model=model,
            partition=ds,
            allowed=", ".join([TODAY, *_versions(rows)]) if rows else "none",
            seen=f"entry {recorded}, version {(stored or {}).get('model_version')}",
            next_step="find the ledger that this storage belongs to, or choose an allowed champion",
        )
    effective = champions.effective(rows, ds)
    if effective is not None:
        return effective
    if not rows:
        raise NoChampion(f"nobody reigns on {ds}, nor on any other day", model=model, partition=ds, next_step=_FIRST)
    raise NoChampion(
        f"nobody reigns on {ds}: the first champion scores from {min(row.effective_ds for row in rows)} on",
        model=model,
        partition=ds,
        allowed=", ".join([TODAY, *_versions(rows)]),
        seen=AS_WAS,
        next_step=f"choose the champion `{TODAY}` or a version (`imago backfill {model} --stage batch_scoring "
        f"--champion {TODAY}`, or *Champion* in the form); the partition then says so",
    )


def _versions(rows: Sequence[Champion]) -> list[str]:
    return sorted({row.version for row in rows}, key=lambda version: (len(version), version))
