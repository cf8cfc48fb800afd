"""Dropping a table of one model in one environment, for good: after a trial day, or to begin anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imago import ledger
from imago.errors import ImagoError
from imago.ledger import pins, publications

if TYPE_CHECKING:
    from imago.tables.delta import Table


def holders(table: Table) -> list[str]:
    """Who holds versions of the table, as `training 2013-10-01`: what was made from it could not be made again."""
    with ledger.connect(table.environment).connect() as connection:
        held = pins.held(connection, table.model)
    return sorted({pin["reason"] for pin in held if pin["table_name"] == table.name})


def drop(table: Table, *, actor: str, force: bool = False) -> dict[str, Any]:
    """Removes the table: writes the drop into the ledger, then deletes its files; returns what went.

    What the ledger knows of its days stays as history, and stands no more. An attempt that began before is fenced off.
    Safe to repeat: a drop that was killed between ledger and files is finished. Other tables and models are left alone.
    Raises ImagoError for a table that trainings hold, unless `force`.
    """
    days, holding = table.published_days(), holders(table)
    if holding and not force:
        raise ImagoError(
            f"{table.name} of {table.model} is what {', '.join(holding[:3])}"
            + (f" and {len(holding) - 3} more" if len(holding) > 3 else "")
            + " were made from",
            **table.where,  # type: ignore[arg-type]
            rule="the inputs of trainings are kept",
            allowed="a table without pinned versions",
            seen=f"{len(holding)} trainings hold versions of it",
            next_step=f"`imago tables drop {table.name} {table.model} --env {table.environment.name} --yes --force` "
            "drops it all the same: their snapshots stay, and can no longer be made again from the table",
        )
    there = table.storage.list(table.relative)
    if not days and not there:
        return {**table.where, "days": 0, "files": 0, "dropped": False}
    with ledger.connect(table.environment).begin() as connection:
        publications.record_drop(
            connection, model=table.model, table=table.name, days=len(days), actor=actor, forced=bool(holding)
        )
        pins.release_table(connection, table.model, table.name)
    table.storage.delete(table.relative)
    return {**table.where, "days": len(days), "files": len(there), "dropped": True}
