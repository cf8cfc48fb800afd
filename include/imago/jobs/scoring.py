"""The tasks of `batch_scoring`: the champion scores one day, and the day's profile is written beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import MissingPartition, RefusedPartition
from imago.specs import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from imago.ledger.champions import Champion
    from imago.tables.delta import PartitionInfo


def score(env: Environment, spec: ModelSpec, ds: str, context: RunContext, champion: str = "as-was") -> dict[str, Any]:
    """Scores the features of `ds` and publishes predictions and profile; the same inputs publish nothing new.

    `champion`: `as-was` (recorded in the stored partition, else whoever reigned that day), `today`, or a version.
    Raises MissingPartition when the day's features are not published, RefusedPartition when they do not keep the
    contract that the champion was trained under, NoChampion, ModelRefused, Fenced.
    """
    from imago import ledger
    from imago.monitoring.profiles import Profile
    from imago.monitoring.reference import profiled_columns
    from imago.registry import load_model
    from imago.scoring.choice import choose
    from imago.scoring.inputs import check_day
    from imago.scoring.predictions import predict
    from imago.tables import Table

    predictions, profiles = Table(env, spec.name, "predictions"), Table(env, spec.name, "profiles")
    # Drawn before anything is read: whoever reads later holds the higher fence, so an attempt that slept cannot win.
    fence = predictions.draw_fence()
    info, features = _features(env, spec, ds)
    stored = predictions.partition(ds)
    with ledger.connect(env).connect() as connection:
        chosen = choose(connection, spec.name, ds, champion, stored.inputs if stored else None)
    scorer = load_model(env, chosen)
    where = {"environment": env.name, "model": spec.name, "table": "features", "partition": ds}
    try:
        checks = check_day(spec, scorer, features, where=where, published=info.inputs, version=chosen.version)
        scored = predict(spec, scorer, features, model_version=chosen.version)
    except RefusedPartition as refusal:
        _tell_refused(env, spec, ds, refusal, context)
        raise
    inputs = {
        "champion_id": chosen.id,
        "champion_choice": champion,
        "model_version": chosen.version,
        "artifact_sha256": chosen.artifact_sha256,
        "features": {"digest": info.digest, "version": info.version},
        "decision_threshold": spec.decision_threshold,
        "leaking": chosen.learned_from(ds),
    }
    published = predictions.publish(
        scored, days=(ds,), key=(spec.entity_key,), fence=fence, context=context, inputs=inputs
    )
    reference = _reference(env, spec, chosen, context)
    profile = Profile.of(
        profiled_columns(features, spec.feature_names, {name: scored.column(name) for name in scored.column_names}),
        reference.profile,
    )
    profiles.publish(
        profile.to_table(ds),
        days=(ds,),
        key=("column",),
        fence=fence,
        context=context,
        inputs={
            "reference": reference.identity,
            "model_version": chosen.version,
            "predictions": {"digest": published.digests[ds]},
        },
    )
    online = _refresh_online(env, spec, ds, context, champion, chosen, scored, features)
    return {
        "ds": ds,
        "rows": scored.num_rows,
        "decisions": _counted(spec, scored),
        "model_version": chosen.version,
        "champion_id": chosen.id,
        "champion_choice": champion,
        "leaking": inputs["leaking"],
        "input_checks": checks,
        "changed": ds in published.changed,
        "version": published.version,
        "digest": published.digests[ds],
        "online": online,
    }


def _counted(spec: ModelSpec, scored: pa.Table) -> dict[str, int]:
    """How often each decision was made; empty for a regression, which makes none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from imago.answers import decisions_of

    if not decisions_of(spec):
        return {}
    counted = pc.value_counts(scored.column("decision").cast(pa.string())).to_pylist()
    found = {entry["values"]: entry["counts"] for entry in counted}
    return {name: found.get(name, 0) for name in decisions_of(spec)}


def _features(env: Environment, spec: ModelSpec, ds: str) -> tuple[PartitionInfo, pa.Table]:
    """The day's features, read at the very version that the provenance names."""
    from imago.tables import Table

    table = Table(env, spec.name, "features")
    info = table.partition(ds)
    if info is None:
        raise MissingPartition(
            f"the features of {ds} are not published, and no other day stands in for them",
            environment=env.name,
            model=spec.name,
            table="features",
            partition=ds,
            next_step="run feature_refresh for that day, then batch_scoring again",
        )
    # All columns: what is missing among them is for the champion's contract to say.
    return info, table.read([ds], version=info.version)


def _reference(env: Environment, spec: ModelSpec, chosen: Champion, context: RunContext) -> Any:
    from imago.jobs import monitoring

    return monitoring.reference_of(env, spec, chosen, context)


def _refresh_online(
    env: Environment,
    spec: ModelSpec,
    ds: str,
    context: RunContext,
    choice: str,
    chosen: Champion,
    scored: Any,
    features: Any,
) -> str:
    if context.mode != "live" or choice != "as-was":
        return "untouched"
    from imago.jobs import serving

    return serving.refresh(env, spec, ds, chosen, scored, features)


def _tell_refused(env: Environment, spec: ModelSpec, ds: str, refusal: RefusedPartition, context: RunContext) -> None:
    from imago import ledger
    from imago.alerts.outbox import Alert, raise_alert

    with ledger.connect(env).begin() as connection:
        raise_alert(
            connection,
            Alert(
                model=spec.name,
                rule="prediction_refused",
                subject="predictions",
                title=f"Predictions of {ds} were refused: {refusal.message}",
                why="Whoever reads predictions finds the day's previous partition, or none.",
                did="Nothing was published; the run failed.",
                next_step=refusal.next_step,
                ds=ds,
                facts=refusal.facts,
            ),
            context,
        )
