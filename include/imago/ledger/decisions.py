"""Verdicts, written once. A decision says what was judged and how; whether it moved the champion is a row in
`champions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from imago.errors import ImagoError
from imago.ledger.schema import decisions


def record(
    connection: Connection,
    *,
    model: str,
    training_ds: str,
    run_id: str,
    outcome: str,
    incumbent_id: int | None,
    challenger_version: str | None,
    holdout_digest: str,
    verdict: Mapping[str, Any],
) -> int:
    """Appends a decision in the caller's transaction; its id."""
    values = {
        "model": model,
        "training_ds": training_ds,
        "run_id": run_id,
        "outcome": outcome,
        "incumbent_id": incumbent_id,
        "challenger_version": challenger_version,
        "holdout_digest": holdout_digest,
        "verdict": dict(verdict),
    }
    return int(connection.execute(decisions.insert().values(**values).returning(decisions.c.id)).scalar_one())


def of_training(
    connection: Connection, model: str, training_ds: str, fight: str | None = None
) -> dict[str, Any] | None:
    """The newest decision on a training; with `fight`, on exactly these contestants and this holdout. None when there
    is none."""
    query = select(decisions).where(decisions.c.model == model, decisions.c.training_ds == training_ds)
    if fight is not None:
        query = query.where(decisions.c.verdict["fight"].astext == fight)
    row = connection.execute(query.order_by(decisions.c.id.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else dict(row)


def get(connection: Connection, decision_id: int) -> dict[str, Any]:
    """One decision by its number."""
    row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).mappings().one_or_none()
    if row is None:
        raise ImagoError(
            f"there is no decision {decision_id}", next_step="look at the deployment run's log for its number"
        )
    return dict(row)
