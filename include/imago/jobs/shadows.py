"""Who scores in the shadow: started and stopped by a person, or by the verdict that a challenger waits on.

Each is a row of the ledger. No shadow decides anything: it may become champion only as any challenger does, in a fight.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from imago.ledger.shadows import Shadow

RULE = "shadow_failed"


def subject_of(version: str) -> str:
    """What an alert about one shadow is about."""
    return f"version {version}"


def start(
    environment: Environment,
    spec: ModelSpec,
    version: str,
    context: RunContext,
    *,
    reason: str,
    effective_ds: str | None = None,
) -> dict[str, Any]:
    """Lets a version score in the shadow, from its training's first day on or from `effective_ds`.

    Its model is loaded first, digest before bytes, so that what cannot score is refused here. A version that shadows
    already stays one shadow. Raises ImagoError for an unknown version, the reigning one, no reason, or a first day that
    the model has learned from; ModelRefused when its files are not whole.
    """
    from dataclasses import replace

    from imago import ledger
    from imago.ledger import champions, shadows
    from imago.registry import load_model
    from imago.registry.outputs import check_outputs

    _check_reason(environment, spec, reason)
    entry = _known(environment, spec, version, by=context.actor, reason=reason.strip())
    entry = replace(entry, effective_ds=effective_ds or entry.effective_ds)
    if entry.effective_ds <= entry.trained_until:
        raise ImagoError(
            f"version {version} has learned from {entry.effective_ds}",
            environment=environment.name,
            model=spec.name,
            rule="a shadow scores days that it has not learned from",
            allowed=f"a day after {entry.trained_until}",
            seen=entry.effective_ds,
            next_step="pass a later --from",
        )
    check_outputs(spec, load_model(environment, entry).card)
    with ledger.connect(environment).begin() as connection:
        champions.lock(connection, spec.name)
        reigning = champions.reigning(connection, spec.name)
        if reigning is not None and reigning.version == version:
            raise ImagoError(
                f"version {version} reigns: what it does in its own shadow says nothing",
                environment=environment.name,
                model=spec.name,
                rule="who shadows",
                allowed="a version that does not reign",
                seen=version,
                next_step=f"name a challenger (`imago shadow list {spec.name}`)",
            )
        return _row(shadows.start(connection, entry), stands=True)


def stop(
    environment: Environment, spec: ModelSpec, version: str, context: RunContext, *, reason: str
) -> dict[str, Any]:
    """Ends the shadow of a version; its predictions stay. Raises ImagoError when it does not stand."""
    from imago import ledger
    from imago.alerts.outbox import resolve
    from imago.ledger import champions, shadows

    _check_reason(environment, spec, reason)
    with ledger.connect(environment).begin() as connection:
        champions.lock(connection, spec.name)
        standing = {one.version: one for one in shadows.standing(connection, spec.name)}
        if version not in standing:
            raise ImagoError(
                f"version {version} does not shadow",
                environment=environment.name,
                model=spec.name,
                allowed=", ".join(standing) or "none shadows",
                seen=version,
                next_step=f"look at `imago shadow list {spec.name}`",
            )
        ended = shadows.stop(connection, standing[version], by=context.actor, reason=reason.strip())
        resolve(connection, spec.name, RULE, subject_of(version), context)
    return _row(ended, stands=False)


def listed(environment: Environment, model: str) -> list[dict[str, Any]]:
    """Every shadow that ever started, oldest first: its start, and how it ended where it did."""
    from imago import ledger
    from imago.ledger import shadows

    with ledger.connect(environment).connect() as connection:
        rows = shadows.history(connection, model)
    ends = {row.started_id: row for row in rows if row.action == "stop"}
    found = []
    for row in rows:
        if row.action == "start":
            end = ends.get(row.id)
            told = {"at": _moment(end), "by": end.decided_by, "reason": end.reason} if end is not None else None
            found.append({**_row(row, stands=end is None), "stopped": told})
    return found


def follow_verdict(connection: Connection, spec: ModelSpec, recorded: Mapping[str, Any]) -> None:
    """What a verdict means for the shadows, in its transaction, which holds `champions.lock`: those that an earlier one
    started end, and the challenger that did not come to reign begins where the spec says so."""
    from imago.ledger import shadows

    verdict, outcome = recorded["verdict"], recorded["outcome"]
    by = f"decision {recorded['id']}"
    for one in shadows.standing(connection, spec.name):
        if one.decision_id is not None:
            shadows.stop(connection, one, by=by, reason=f"a later training was judged: {outcome}")
        elif outcome == "promoted" and one.version == recorded["challenger_version"]:
            shadows.stop(connection, one, by=by, reason="it reigns now")
    reason = _reason_to_shadow(spec, outcome, verdict)
    if reason is not None:
        entry = _entry(recorded, by=by, reason=reason, decision_id=recorded["id"])
        shadows.start(connection, entry)


def follow_answer(connection: Connection, recorded: Mapping[str, Any], *, by: str, reason: str) -> None:
    """Ends the shadow of a challenger whose verdict has its answer, in the answer's transaction, which holds
    `champions.lock`. One that a person started ends only when its version reigns."""
    from imago.ledger import champions, shadows

    reigning = champions.reigning(connection, recorded["model"])
    for one in shadows.standing(connection, recorded["model"]):
        if one.decision_id == recorded["id"] or (reigning is not None and one.version == reigning.version):
            shadows.stop(connection, one, by=by, reason=reason)


def _reason_to_shadow(spec: ModelSpec, outcome: str, verdict: Mapping[str, Any]) -> str | None:
    if spec.shadows == "by_hand" or not verdict.get("entry"):
        return None
    if outcome == "awaiting":
        return "it won its fight, and waits for approval"
    rulings = {one["name"]: one["standing"] for one in verdict["rulings"]}
    if spec.shadows == "ties" and outcome == "kept" and rulings.get(verdict["challenger"]) == "TIE":
        return "a tie kept it from reigning"
    return None


def _known(environment: Environment, spec: ModelSpec, version: str, *, by: str, reason: str) -> Shadow:
    """A version with what is needed to load it: as a verdict named it, as it reigned, or as its training left it."""
    from imago import ledger
    from imago.ledger import champions, decisions
    from imago.ledger.shadows import COPIED, Shadow

    with ledger.connect(environment).connect() as connection:
        recorded = decisions.of_version(connection, spec.name, version)
        reigned = [row for row in champions.history(connection, spec.name) if row.version == version]
    if recorded is not None and recorded["verdict"].get("entry"):
        return _entry(recorded, by=by, reason=reason, decision_id=None)
    if reigned:
        facts = {name: getattr(reigned[-1], name) for name in COPIED if name != "decision_id"}
        return Shadow(**facts, decided_by=by, reason=reason)
    seen = []
    for ds, known, facts in _trained(environment, spec):
        if known == version:
            return Shadow(model=spec.name, version=version, training_ds=ds, **facts, decided_by=by, reason=reason)
        seen.append(known)
    raise ImagoError(
        f"no training of {spec.name} left a version {version}",
        environment=environment.name,
        model=spec.name,
        allowed=", ".join(sorted(set(seen), key=lambda one: (len(one), one))) or "none was trained yet",
        seen=version,
        next_step="name a version that a training registered",
    )


def _entry(recorded: Mapping[str, Any], *, by: str, reason: str, decision_id: int | None) -> Shadow:
    from imago.ledger.shadows import Shadow

    return Shadow(
        model=recorded["model"],
        training_ds=recorded["training_ds"],
        decision_id=decision_id,
        decided_by=by,
        reason=reason,
        **recorded["verdict"]["entry"],
    )


def _trained(environment: Environment, spec: ModelSpec) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(training, version, facts) of all candidates that a finished training registered, the newest training first."""
    from imago.jobs.training import manifest_path
    from imago.storage import Storage
    from imago.training.cut import Cut

    storage = Storage(environment)
    days = {path.split("/")[2] for path in storage.list(f"trainings/{spec.name}")}
    for ds in sorted(days, reverse=True):
        if not storage.exists(manifest_path(spec.name, ds)):
            continue
        word = json.loads(storage.read_bytes(manifest_path(spec.name, ds)))
        cut = Cut.from_dict(json.loads(storage.read_bytes(f"{word['snapshot']}/manifest.json"))["cut"])
        for one in word["contestants"]:
            if one.get("version"):
                facts = {"run_id": one["run_id"], **one["artifact"]}
                yield ds, one["version"], {**facts, "trained_until": cut.trained_until,
                                           "effective_ds": cut.effective_ds}  # fmt: skip


def _check_reason(environment: Environment, spec: ModelSpec, reason: str) -> None:
    if not reason.strip():
        raise ImagoError(
            "a shadow needs a reason",
            environment=environment.name,
            model=spec.name,
            rule="the ledger says why",
            next_step="pass --reason",
        )


def _row(shadow: Shadow, *, stands: bool) -> dict[str, Any]:
    return {**asdict(shadow), "artifacts": dict(shadow.artifacts), "decided_at": _moment(shadow), "stands": stands}


def _moment(shadow: Shadow) -> str | None:
    return shadow.decided_at.isoformat() if shadow.decided_at is not None else None
