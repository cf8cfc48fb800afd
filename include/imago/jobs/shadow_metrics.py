"""What a day in the shadow says, made when the shadows score it and again when its outcomes arrive or are corrected."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import Fenced
from imago.specs import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from imago.tables.delta import PartitionInfo

log = logging.getLogger(__name__)
SUBJECT = "comparison"


def compare(env: Environment, spec: ModelSpec, ds: str, context: RunContext) -> dict[str, Any]:
    """Publishes the day's sums of every version that shadowed it, with the truth where it is known by now.

    The same predictions and outcomes give the same sums, whoever asks and in whatever order. A version that was not
    scored as the champion was (`choice.unfair`) is left out, with the reason. {"skipped": reason} without a shadow.
    """
    import pyarrow as pa

    from imago.selection.shadow.choice import unfair
    from imago.selection.shadow.sums import KEY, SCHEMA
    from imago.tables import Table

    metrics = Table(env, spec.name, "shadow_metrics")
    # Drawn before the reads and after whatever made this task ask: of two, the later one has seen what the other has.
    fence = metrics.draw_fence()
    found = {
        name: Table(env, spec.name, name).partition(ds) for name in ("shadow_predictions", "predictions", "outcomes")
    }
    shadow, champion, outcomes = found.values()
    if shadow is None or champion is None:
        return {"ds": ds, "skipped": f"no version shadowed {ds}"}
    reasons = {version: unfair(version, shadow.inputs, champion.inputs) for version in shadow.inputs["shadows"]}
    fair = [version for version, reason in reasons.items() if reason is None]
    made = _sums(env, spec, ds, fair, shadow, champion, outcomes) if fair else []
    summary = {
        "ds": ds,
        "compared": fair,
        "left_out": {version: reason for version, reason in reasons.items() if reason is not None},
        "outcomes": outcomes is not None,
    }
    try:
        published = metrics.publish(
            pa.concat_tables([SCHEMA.empty_table(), *made]),
            days=(ds,),
            key=KEY,
            fence=fence,
            context=replace(context, mode="shadow"),
            inputs={name: {"digest": one.digest, "version": one.version} for name, one in found.items() if one},
            allow_empty=True,
        )
    except Fenced:
        return {**summary, "overtaken": True}  # by one that has read what this one has, or later
    return {**summary, "changed": ds in published.changed}


def compare_quietly(env: Environment, spec: ModelSpec, ds: str, context: RunContext) -> dict[str, Any]:
    """`compare` for a task that must not fail because of a shadow: what goes wrong is one warning."""
    from imago import ledger
    from imago.alerts.outbox import Alert, raise_alert, resolve
    from imago.jobs.shadows import RULE

    try:
        told = compare(env, spec, ds, context)
    except Exception as error:
        log.exception("the shadows of %s could not be compared", ds)
        alert = Alert(
            model=spec.name,
            rule=RULE,
            subject=SUBJECT,
            ds=ds,
            title=f"The shadows of {ds} could not be compared with the champion",
            why="who was right on that day is not told; nothing that counts has changed",
            did="published the champion's metrics as usual",
            next_step="mend what the log names, then run shadow_scoring for that day",
            facts={"error": f"{type(error).__name__}: {error}"[:300]},
        )
        with ledger.connect(env).begin() as connection:
            raise_alert(connection, alert, context)
        return {"failed": alert.facts["error"]}
    if context.mode == "live" and not told.get("skipped"):
        with ledger.connect(env).begin() as connection:
            resolve(connection, spec.name, RULE, SUBJECT, context, ds=ds)
    return told


def _sums(
    env: Environment,
    spec: ModelSpec,
    ds: str,
    versions: list[str],
    shadow: PartitionInfo,
    champion: PartitionInfo,
    outcomes: PartitionInfo | None,
) -> list[pa.Table]:
    import pyarrow.compute as pc

    from imago.selection.shadow.sums import day_sums, pair
    from imago.tables import Table

    def rows(name: str, version: int, columns: list[str] | None = None) -> pa.Table:
        return Table(env, spec.name, name).read([ds], columns, version)

    told = rows("shadow_predictions", shadow.version)
    theirs = rows("predictions", champion.version)
    truth = rows("outcomes", outcomes.version, [*spec.entity_keys, spec.label]) if outcomes else None
    features = None
    # A slice may be of a feature that joined after the day was scored.
    version_of_features = champion.inputs["features"]["version"]
    known = Table(env, spec.name, "features").schema(version_of_features).names if spec.slices else ()
    spec = spec.model_copy(update={"slices": tuple(name for name in spec.slices if name in known)})
    if spec.slices:
        columns = list(dict.fromkeys((*spec.entity_keys, *spec.slices)))
        features = rows("features", version_of_features, columns)
    against = champion.inputs["model_version"]
    made = []
    for version in versions:
        ours = told.filter(pc.equal(told.column("model_version"), version))
        made.append(day_sums(spec, ds, version, against, pair(spec, theirs, ours, truth, features)))
    return made
