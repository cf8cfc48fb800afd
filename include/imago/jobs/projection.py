"""MLflow follows the ledger, and what was done there by hand is found, mended where it can be, and told.

Runs after every change of a champion, and every few minutes by the watchdog.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from imago.alerts.outbox import Alert
    from imago.ledger.champions import Champion

log = logging.getLogger(__name__)


def follow(environment: Environment, spec: ModelSpec, context: RunContext) -> dict[str, Any]:
    """Sets aliases and life-stage tags to what the ledger says, and looks whether every protected version is whole.

    An alias that was moved by hand is put back and alerted (`champion_alias_moved`). A protected version that MLflow
    has lost, or files of it that are gone, cannot be put back and are alerted (`champion_version_deleted`); scoring
    goes on as long as the files are there, since it never asks MLflow. Each is told once, and ends when it is well.
    Raises StackError when MLflow does not answer; the ledger does not depend on it.
    """
    from imago import ledger
    from imago.ledger import champions, decisions
    from imago.registry.following import Named, follow
    from imago.registry.tracking import Tracker

    with ledger.connect(environment).begin() as connection:
        # Who reads the ledger has to write MLflow before the next one reads it, or an older word would win.
        champions.lock(connection, spec.name, "projection")
        rows = champions.history(connection, spec.name)
        kept = champions.protected(rows, environment.keep_reigns)
        named = decisions.challenger(connection, spec.name)
        champion = Named(rows[-1].version, rows[-1].run_id, _row(rows[-1])) if rows else None
        challenger = (
            Named(named["challenger_version"], named["verdict"]["entry"]["run_id"], named["id"]) if named else None
        )
        seen = follow(
            Tracker(environment, spec.name),
            {"champion": champion, "challenger": challenger},
            {version: row.run_id for version, row in kept.items()},
            {row.version for row in rows},
        )
        lost = {version: missing_files(environment, row) for version, row in kept.items()}
        lost = {version: files for version, files in lost.items() if files or version in seen.gone}
        _tell(connection, spec, rows, seen.moved, lost, seen.gone, context)
    summary = {
        "champion": champion.version if champion else None,
        "challenger": challenger.version if challenger else None,
        "moved_by_hand": {alias: f"{old or 'nothing'}, put back to {new or 'nothing'}"
                          for alias, (old, new) in seen.moved.items()},
        "protected": list(kept),
        "lost": {version: ", ".join(files) or "in MLflow" for version, files in lost.items()},
    }  # fmt: skip
    if seen.moved or lost:
        log.warning("MLflow did not follow the ledger: %s", summary)
    return summary


def missing_files(environment: Environment, row: Champion) -> list[str]:
    """The files of a champion that are not where the ledger says."""
    from imago.storage import Storage

    storage = Storage(environment)
    try:
        folder = storage.relative(row.artifact_uri)
    except ImagoError:
        return list(row.artifacts)
    return [name for name in row.artifacts if not storage.exists(f"{folder}/{name}")]


def forget(environment: Environment, spec: ModelSpec, version: str) -> dict[str, Any]:
    """Deletes a version in MLflow and the files of its model. Refuses one that is protected, whose verdict may still be
    approved, that shadows, or that stored predictions were made with."""
    from imago import ledger
    from imago.ledger import champions, decisions, shadows
    from imago.registry import following
    from imago.registry.tracking import Tracker
    from imago.storage import Storage

    tracker = Tracker(environment, spec.name)
    with ledger.connect(environment).begin() as connection:
        champions.lock(connection, spec.name)  # nobody is promoted meanwhile
        rows = champions.history(connection, spec.name)
        named = decisions.challenger(connection, spec.name)
        kept = list(champions.protected(rows, environment.keep_reigns))
        if version in kept or (named is not None and named["challenger_version"] == version):
            raise ImagoError(
                f"version {version} is protected: it reigned within the last {environment.keep_reigns} promotions, "
                "or is the challenger",
                environment=environment.name,
                model=spec.name,
                rule="protected versions",
                allowed="a version that is neither",
                seen=", ".join(kept) or version,
                next_step=f"leave it; IMAGO_{environment.name.upper()}_KEEP_REIGNS says how many are protected",
            )
        if version in {one.version for one in shadows.standing(connection, spec.name)}:
            raise ImagoError(
                f"version {version} scores in the shadow",
                environment=environment.name,
                model=spec.name,
                rule="protected versions",
                next_step=f"`imago shadow stop {spec.name} --version {version}` first",
            )
        _refuse_needed(connection, environment, spec, version)
        folder = following.source_of(tracker, version)
        if folder is None:
            raise ImagoError(
                f"MLflow has no version {version}",
                environment=environment.name,
                model=spec.name,
                next_step=f"look for {tracker.registered_name} in MLflow",
            )
        if not folder.startswith(f"{tracker.folder}/"):
            raise ImagoError(
                f"the files of version {version} lie outside of this model's own folder",
                environment=environment.name,
                model=spec.name,
                rule="model files",
                allowed=tracker.folder,
                seen=folder,
                next_step="look who registered this version",
            )
        following.delete(tracker, version)
        Storage(environment).delete(folder)
    return {"model": spec.name, "version": version, "deleted": folder}


def _refuse_needed(connection: Connection, environment: Environment, spec: ModelSpec, version: str) -> None:
    """A stored prediction can be rebuilt as long as its inputs are kept, so the model that made it stays as well."""
    from imago.ledger import publications

    since = datetime.now(UTC) - timedelta(days=environment.keep_inputs_days)
    scored = publications.days_made_with(connection, spec.name, version, since=since)
    if scored:
        raise ImagoError(
            f"version {version} made the stored predictions of {len(scored)} days, which could not be rebuilt without "
            "its files",
            environment=environment.name,
            model=spec.name,
            partition=f"{scored[0]} to {scored[-1]}",
            rule="stored predictions can be rebuilt",
            allowed="a version that made no stored prediction",
            next_step="leave it, or score those days again with another champion first; "
            f"IMAGO_{environment.name.upper()}_KEEP_INPUTS_DAYS says how long this holds",
        )


def _tell(
    connection: Connection,
    spec: ModelSpec,
    rows: list[Champion],
    moved: Mapping[str, tuple[str | None, str | None]],
    lost: Mapping[str, list[str]],
    gone: frozenset[str],
    context: RunContext,
) -> None:
    from sqlalchemy import select

    from imago.alerts.outbox import raise_alerts, resolve
    from imago.ledger.schema import incidents

    alerts = [_moved(spec, alias, *points) for alias, points in moved.items()]
    alerts += [
        _lost(spec, version, files, version in gone, version == rows[-1].version) for version, files in lost.items()
    ]
    raise_alerts(connection, alerts, context)
    still = {(alert.rule, alert.subject) for alert in alerts}
    query = select(incidents.c.rule, incidents.c.subject).where(
        incidents.c.model == spec.name,
        incidents.c.rule.in_(("champion_alias_moved", "champion_version_deleted")),
        incidents.c.status == "open",
    )
    for incident in connection.execute(query).all():
        if (incident.rule, incident.subject) not in still:
            resolve(connection, spec.name, incident.rule, incident.subject, context)


def _moved(spec: ModelSpec, alias: str, seen: str | None, wanted: str | None) -> Alert:
    from imago.alerts.outbox import Alert

    return Alert(
        model=spec.name,
        rule="champion_alias_moved",
        subject=alias,
        occurrence=f"{alias} at {seen}",
        title=f"{spec.name}: MLflow's alias {alias} was moved by hand",
        why="people who read the alias were misled; scoring follows the ledger and was not touched",
        did=f"put it back to version {wanted}" if wanted else "took the alias away, since its version is gone",
        next_step="find out who moved it; a champion is changed by a fair fight or "
        f"`imago champion rollback --model {spec.name}`",
        facts={"alias": alias, "seen": seen or "nothing", "ledger": wanted or "nothing"},
    )


def _lost(spec: ModelSpec, version: str, files: list[str], in_mlflow: bool, reigns: bool) -> Alert:
    from imago.alerts.outbox import Alert

    who = "the champion" if reigns else "a protected former champion"
    if files:
        why = "nothing can be scored with it" if reigns else "a rollback cannot return to it"
        step = "put the files back from a backup, at the same place: their digests are in the ledger; "
        step += f"else `imago champion rollback --model {spec.name}`" if reigns else "else train again"
    else:
        why = "its page, metrics and alias in MLflow are gone; scoring and rollback go on, from the files"
        step = "find out who deleted it; nothing has to be done for scoring"
    return Alert(
        model=spec.name,
        rule="champion_version_deleted",
        subject=f"version {version}",
        severity="critical" if files else "warning",
        title=f"{spec.name}: version {version}, {who}, was deleted",
        why=why,
        did="left the ledger as it is: the version reigns on" if reigns else "left the ledger as it is",
        next_step=step,
        facts={"version": version, "in MLflow": "deleted" if in_mlflow else "there",
               "files": f"missing: {', '.join(files)}" if files else "there"},
    )  # fmt: skip


def _row(row: Champion) -> int:
    assert row.id is not None
    return row.id
