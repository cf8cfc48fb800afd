"""What a day of a model's decisions was worth: written when its outcome is known, and said by alerts."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from imago.ledger.schema import worth


@dataclass(frozen=True, kw_only=True)
class Usual:
    """A usual day: the means of those known last. `value` is None where nobody said what a decision is worth."""

    days: int
    decisions: float
    value: float | None
    unit: str | None


def note(connection: Connection, model: str, ds: str, *, decisions: int, value: float | None, unit: str | None) -> None:
    """Writes or corrects one day."""
    values = {"decisions": decisions, "value": value, "unit": unit}
    connection.execute(
        insert(worth)
        .values(model=model, ds=ds, **values)
        .on_conflict_do_update(index_elements=["model", "ds"], set_=values)
    )


def usual(connection: Connection, model: str, *, days: int = 28) -> Usual | None:
    """The mean of the last known days; None where none is known."""
    rows = connection.execute(select(worth).where(worth.c.model == model).order_by(worth.c.ds.desc()).limit(days)).all()
    if not rows:
        return None
    valued = [row.value for row in rows if row.value is not None]
    return Usual(
        days=len(rows),
        decisions=sum(row.decisions for row in rows) / len(rows),
        value=sum(valued) / len(valued) if valued else None,
        unit=rows[0].unit,
    )
