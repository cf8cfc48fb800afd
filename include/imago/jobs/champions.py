"""Questions to the ledger of champions, and the rollback."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from imago.ledger.champions import Champion

log = logging.getLogger(__name__)


def show(environment: Environment, model: str) -> dict[str, Any]:
    """The reigning champion. Raises NoChampion when nobody was ever promoted."""
    from imago import ledger
    from imago.errors import NoChampion
    from imago.ledger import champions

    with ledger.connect(environment).connect() as connection:
        now = champions.reigning(connection, model)
        if now is None:
            raise NoChampion(
                "nobody reigns yet",
                environment=environment.name,
                model=model,
                next_step="run training, then deployment",
            )
        return _named(connection, model, [now])[0]


def at(environment: Environment, model: str, ds: str) -> dict[str, Any]:
    """Who scores the day `ds`, as the ledger says now. Raises NoChampion."""
    from imago import ledger
    from imago.ledger import champions

    with ledger.connect(environment).connect() as connection:
        return _named(connection, model, [champions.at(connection, model, ds)])[0]


def history(environment: Environment, model: str) -> dict[str, Any]:
    """All rows, oldest first, and what is wrong with their chain (nothing, when it is whole)."""
    from imago import ledger
    from imago.ledger import champions

    with ledger.connect(environment).connect() as connection:
        rows = champions.history(connection, model)
        return {"rows": _named(connection, model, rows), "problems": champions.broken_links(rows)}


def verify(environment: Environment, model: str, *, head: str | None = None) -> dict[str, Any]:
    """What is wrong with the chain, its decisions, and the files of the protected versions, whose digests are taken
    anew; nothing, when all is whole. `head` is a row's hash that was noted earlier."""
    from imago import ledger
    from imago.errors import ModelRefused
    from imago.ledger import champions
    from imago.registry import folders

    with ledger.connect(environment).connect() as connection:
        problems = champions.verify(connection, model, head=head)
        rows = champions.history(connection, model)
    for version, row in champions.protected(rows, environment.keep_reigns).items():
        try:
            folders.check(environment, row.artifact_uri, row.artifacts)
            for name, digest in row.artifacts.items():
                folders.read(environment, row.artifact_uri, name, digest)
        except ModelRefused as error:
            problems.append(f"version {version}: {error.message} ({error.facts.get('seen')})")
    newest = rows[-1].row_hash if rows else None
    return {"model": model, "rows": len(rows), "newest": newest, "problems": problems}


def rollback(
    environment: Environment,
    spec: ModelSpec,
    context: RunContext,
    *,
    to_version: str | None = None,
    effective_ds: str | None = None,
    reason: str = "",
) -> dict[str, Any]:
    """Makes an earlier version reign again: the one before, or `to_version`. Itself a row; nothing is deleted.

    Its model is loaded first, so that a rollback never ends with a champion that cannot score. It takes effect on the
    first day that is not scored yet, unless `effective_ds` names an earlier one; stored predictions stay what they are.
    MLflow may be down: the champion moves, and the watchdog lets MLflow follow later (`mlflow` says so).
    Raises NoChampion when there is nothing to return to, ModelRefused when its files are not whole, SpecError when
    `effective_ds` is no day of the model or lies ahead: the row could not be taken back, and the version that is rolled
    back would score until then.
    """
    from imago import ledger
    from imago.errors import StackError
    from imago.jobs.announcements import announce_rollback
    from imago.jobs.projection import follow
    from imago.ledger import champions
    from imago.registry import load_model

    with ledger.connect(environment).connect() as connection:
        rows = champions.history(connection, spec.name)
    champions.check_chain(rows)
    target = champions.rollback_target(rows, to_version)
    load_model(environment, target)
    current = rows[-1]
    unscored = _first_unscored_day(environment, spec, current.effective_ds)
    if effective_ds is not None:
        _check_effective(environment, spec, effective_ds, unscored)
    entry = replace(
        target,
        action="rollback",
        effective_ds=effective_ds or unscored,
        decided_at=datetime.now(UTC),
        decided_by=context.actor,
        decision_id=None,
        reason=reason or f"version {current.version} was rolled back to version {target.version}",
    )
    with ledger.connect(environment).begin() as connection:
        entry = champions.crown(connection, entry, expected=current.id)
        announce_rollback(connection, spec=spec, entry=entry, context=context)
        told = _named(connection, spec.name, [entry])[0]
    try:
        follow(environment, spec, context)
    except StackError as error:
        log.warning("the champion has moved, but MLflow does not follow yet: %s", error)
        return {**told, "mlflow": "not yet"}
    return {**told, "mlflow": "follows"}


def _check_effective(environment: Environment, spec: ModelSpec, ds: str, unscored: str) -> None:
    from imago.errors import SpecError

    spec.check_day(ds, environment=environment.name)
    if ds > unscored:
        raise SpecError(
            f"a rollback from {ds} on would leave the days before to the version that is rolled back",
            environment=environment.name,
            model=spec.name,
            partition=ds,
            rule="first day of a rollback",
            allowed=f"{spec.first_day} to {unscored}, the first day that is not scored",
            seen=ds,
            next_step=f"leave --from out: imago champion rollback --model {spec.name} --env {environment.name} "
            '--reason "..."',
        )


def _named(connection: Connection, model: str, rows: list[Champion]) -> list[dict[str, Any]]:
    """The rows as plain data, each with the candidate of the spec that its version is a fit of; None where no decision
    says so."""
    from imago.ledger import decisions

    names = decisions.challengers(connection, model)
    return [{**row.as_dict(), "contestant": names.get(row.version)} for row in rows]


def _first_unscored_day(environment: Environment, spec: ModelSpec, earliest: str) -> str:
    from imago.days import shift
    from imago.tables import Table

    scored = Table(environment, spec.name, "predictions").published_days()
    return max(earliest, shift(scored[-1], 1)) if scored else earliest
