"""Which versions score in the shadow of the champion, who let them, why, and until when: an append-only table.

shadows.start(connection, entry)                    appends; a version that stands already stays one shadow
shadows.stop(connection, shadow, by=..., reason=...)
shadows.standing(connection, "flight_delays")       those that no row stops, oldest first
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, select

from imago.days import parse_day
from imago.ledger.schema import shadows

COPIED = (
    "model",
    "version",
    "run_id",
    "artifact_uri",
    "artifact_sha256",
    "artifact_format",
    "artifacts",
    "training_ds",
    "trained_until",
    "effective_ds",
    "decision_id",
)


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """One row. `artifacts` maps the model's files to their sha256, as a champion's row does; `effective_ds` is the
    first day that it scores. A stop repeats what it stops and names it with `started_id`."""

    model: str
    version: str
    run_id: str
    artifact_uri: str
    artifact_sha256: str
    artifact_format: str
    artifacts: Mapping[str, str]
    training_ds: str
    trained_until: str
    effective_ds: str
    reason: str
    decided_by: str
    decision_id: int | None = None
    action: Literal["start", "stop"] = "start"
    started_id: int | None = None
    id: int | None = None
    decided_at: datetime | None = None  # told by the ledger


def start(connection: Connection, entry: Shadow) -> Shadow:
    """Appends `entry` in the caller's transaction, which holds `champions.lock`; the shadow of this version that stands
    already, when one does."""
    parse_day(entry.effective_ds)
    for one in standing(connection, entry.model):
        if one.version == entry.version:
            return one
    values = {name: getattr(entry, name) for name in (*COPIED, "reason", "decided_by")}
    return _append(connection, {**values, "artifacts": dict(entry.artifacts), "action": "start"})


def stop(connection: Connection, shadow: Shadow, *, by: str, reason: str) -> Shadow:
    """Appends the end of a shadow that stands, in the caller's transaction, which holds `champions.lock`."""
    values = {name: getattr(shadow, name) for name in COPIED}
    return _append(
        connection, {**values, "action": "stop", "started_id": shadow.id, "reason": reason, "decided_by": by}
    )


def standing(connection: Connection, model: str) -> list[Shadow]:
    """The shadows that no row stops, oldest first."""
    stopped = select(shadows.c.started_id).where(shadows.c.model == model, shadows.c.started_id.is_not(None))
    query = select(shadows).where(
        shadows.c.model == model, shadows.c.action == "start", shadows.c.id.not_in(stopped.scalar_subquery())
    )
    return [_shadow(row) for row in connection.execute(query.order_by(shadows.c.id)).mappings()]


def history(connection: Connection, model: str) -> list[Shadow]:
    """All rows, oldest first."""
    query = select(shadows).where(shadows.c.model == model).order_by(shadows.c.id)
    return [_shadow(row) for row in connection.execute(query).mappings()]


def with_numbers(connection: Connection, model: str, numbers: Iterable[int]) -> dict[int, Shadow]:
    """The rows with these numbers."""
    query = select(shadows).where(shadows.c.model == model, shadows.c.id.in_(list(numbers)))
    return {row["id"]: _shadow(row) for row in connection.execute(query).mappings()}


def _append(connection: Connection, values: Mapping[str, Any]) -> Shadow:
    made = connection.execute(shadows.insert().values(**values).returning(*shadows.c)).mappings().one()
    return _shadow(made)


def _shadow(row: RowMapping) -> Shadow:
    return Shadow(**{field.name: row[field.name] for field in fields(Shadow)})
