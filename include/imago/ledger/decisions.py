"""Verdicts, written once. A decision says what was judged and how; whether it moved the champion is a row in
`champions`.

A verdict that waited for a person and did not become a promotion gets a second row, its answer: `declined` by a person,
`expired` since nobody answered in time, `voided` since another champion reigned meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Connection, select

from imago.errors import ImagoError
from imago.ledger.numbers import check_number
from imago.ledger.schema import decisions

Answer = Literal["declined", "expired", "voided"]
# The outcomes whose challenger has beaten the baselines and the floor.
_WITH_CHALLENGER = ("promoted", "awaiting", "kept", "declined", "expired", "voided")


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


def challengers(connection: Connection, model: str) -> dict[str, str]:
    """The candidate's name of each version that ever fought and came closest."""
    name = decisions.c.verdict["challenger"].astext
    query = select(decisions.c.challenger_version, name).where(
        decisions.c.model == model, decisions.c.challenger_version.is_not(None), name.is_not(None)
    )
    return {row[0]: row[1] for row in connection.execute(query.order_by(decisions.c.id))}


def get(connection: Connection, decision_id: int) -> dict[str, Any]:
    """One decision by its number."""
    check_number(decision_id, "decision", next_step="look at the deployment run's log for its number")
    row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).mappings().one_or_none()
    if row is None:
        raise ImagoError(
            f"there is no decision {decision_id}", next_step="look at the deployment run's log for its number"
        )
    return dict(row)


def of_version(connection: Connection, model: str, version: str) -> dict[str, Any] | None:
    """The newest decision whose challenger is this version; None when there is none."""
    query = select(decisions).where(decisions.c.model == model, decisions.c.challenger_version == version)
    row = connection.execute(query.order_by(decisions.c.id.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else dict(row)


def answer(connection: Connection, recorded: Mapping[str, Any], outcome: Answer, *, by: str, reason: str) -> int:
    """Appends the answer to an `awaiting` decision (as `get` gives it) in the caller's transaction; its id."""
    copied = ("model", "training_ds", "incumbent_id", "challenger_version", "holdout_digest")
    verdict = {**recorded["verdict"], "reason": reason, "answers": recorded["id"], "answered_by": by}
    values = {name: recorded[name] for name in copied}
    return record(connection, **values, run_id=recorded["run_id"], outcome=outcome, verdict=verdict)


def answer_to(connection: Connection, decision_id: int) -> dict[str, Any] | None:
    """The newest answer to a decision; None when it has none."""
    query = select(decisions).where(decisions.c.verdict["answers"].astext == str(decision_id))
    row = connection.execute(query.order_by(decisions.c.id.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else dict(row)


def challenger(connection: Connection, model: str) -> dict[str, Any] | None:
    """The newest decision that names a challenger; None when there is none."""
    query = select(decisions).where(
        decisions.c.model == model,
        decisions.c.outcome.in_(_WITH_CHALLENGER),
        decisions.c.challenger_version.is_not(None),
    )
    row = connection.execute(query.order_by(decisions.c.id.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else dict(row)
