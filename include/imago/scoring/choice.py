"""Which champion scores a day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from imago.errors import NoChampion
from imago.ledger import champions
from imago.ledger.champions import Champion

AS_WAS, TODAY = "as-was", "today"


def choose(
    connection: Connection, model: str, ds: str, choice: str, stored: Mapping[str, Any] | None = None
) -> Champion:
    """The champion that scores `ds`. `stored` are the inputs of the partition that is published already, if there is
    one.

    - `as-was`: the ledger entry recorded in the stored partition; else whoever reigned on that day.
    - `today`: whoever reigns now.
    - anything else: the newest ledger entry of that version.

    Raises NoChampion, which names the other options.
    """
    if choice == AS_WAS:
        recorded = (stored or {}).get("champion_id")
        if recorded is not None:
            for entry in champions.history(connection, model):
                if entry.id == recorded:
                    return entry
        return champions.at(connection, model, ds)
    if choice == TODAY:
        reigning = champions.reigning(connection, model)
        if reigning is None:
            raise NoChampion(
                "nobody reigns yet",
                model=model,
                partition=ds,
                next_step="run training and deployment for this model first",
            )
        return reigning
    known = champions.history(connection, model)
    matching = [entry for entry in known if entry.version == choice]
    if not matching:
        versions = sorted({entry.version for entry in known})
        raise NoChampion(
            f"version {choice!r} never reigned",
            model=model,
            partition=ds,
            allowed=", ".join([AS_WAS, TODAY, *versions]),
            seen=choice,
            next_step="choose an allowed champion",
        )
    return matching[-1]
