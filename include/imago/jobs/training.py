"""The training DAG's tasks: freeze a snapshot, fit each contestant on it, report. None of them decides anything."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError, MissingPartition
from imago.specs import ModelSpec

log = logging.getLogger(__name__)


def manifest_path(model: str, ds: str) -> str:
    """Where a finished training leaves word for deployment, relative to the storage root."""
    return f"trainings/{model}/{ds}/training.json"


def freeze(environment: Environment, spec: ModelSpec, ds: str, context: RunContext) -> dict[str, Any]:
    """Freezes the snapshot of the training `ds` with the features' contract; names it and those who are to be fitted on
    it."""
    from imago.dbt import contract_of
    from imago.training import fitting, search, snapshot

    search.check(spec)
    contract = contract_of(spec.feature_model, environment.dbt_target)
    frozen = snapshot.freeze(environment, spec, ds, contract=contract, run_id=context.run_id)
    log.info("snapshot %s: %s rows, %s", frozen.folder, frozen.rows.num_rows, json.dumps(frozen.manifest["parts"]))
    return {
        "ds": ds,
        "snapshot": frozen.folder,
        "digest": frozen.digest,
        "contestants": list(fitting.contestants(spec)),
        "cut": frozen.cut.as_dict(),
        "parts": dict(frozen.manifest["parts"]),
        "versions": dict(frozen.manifest["versions"]),
        "outcomes_known_later": frozen.manifest["outcomes_known_later"],
    }


def fit(
    environment: Environment, spec: ModelSpec, snapshot: str, contestant: str, context: RunContext
) -> dict[str, Any]:
    """Fits one contestant and records it in MLflow: settings, metrics, pictures, model files; a candidate becomes a
    version. A finished run of the same data, settings, seed and code is reused."""
    from imago.registry import save
    from imago.registry.tracking import Tracker
    from imago.storage import Storage
    from imago.training import card, fitting, importance, plots, search
    from imago.training import snapshot as snapshots

    one = fitting.contestant(spec, contestant)
    role = fitting.role_of(one)
    frozen = snapshots.load(environment, snapshot).of(spec)
    tracker = Tracker(environment, spec.name)
    identity = fitting.identity(spec, frozen, one, context.code_commit)
    known = tracker.finished_run(identity)
    if known is not None and Storage(environment).exists(
        f"{tracker.artifact_folder(known.info.run_id)}/model/model.json"
    ):
        log.info("%s: the same fit is recorded as run %s", contestant, known.info.run_id)
        return {**json.loads(known.data.tags["imago.result"]), "reused": True}

    ds = frozen.cut.training_ds
    tags = {
        "imago.identity": identity,
        "imago.model": spec.name,
        "imago.contestant": contestant,
        "imago.role": role,
        "imago.training_ds": ds,
        "imago.snapshot": frozen.folder,
        "imago.stage": "larva" if role == "candidate" else None,
        "imago.airflow_run": context.run_id,
        "mlflow.source.git.commit": context.code_commit,
        "mlflow.note.content": f"{one.why}\n\nTraining {ds}: learns until {frozen.cut.trained_until}, judged on "
        f"{frozen.cut.holdout_first} to {frozen.cut.holdout_last}.",
    }
    tracker.end_abandoned(identity)
    run_id = tracker.start(f"{ds} {contestant}", tags)
    finished = False
    try:
        book = search.Book(environment, f"{frozen.folder}/search/{contestant}-{identity}")
        fitted = fitting.fit(spec, frozen, one, book)
        artifact = save(
            environment,
            f"{tracker.artifact_folder(run_id)}/model",
            fitted.pipeline,
            features=[(feature.name, feature.kind) for feature in spec.features],
            problem=spec.problem,
            columns=fitted.columns,
            scores=fitted.scores,
            facts={
                "model": spec.name,
                "contestant": contestant,
                "classes": list(spec.classes),
                "trained_until": frozen.cut.trained_until,
                "snapshot": frozen.folder,
                "snapshot_digest": frozen.digest,
                "contract": frozen.manifest.get("contract"),
                "categories": fitting.categories(spec, frozen),
                "seed": spec.training.seed,
                "code_commit": context.code_commit,
                "libraries": fitting.libraries(),
            },
        )
        drawn = plots.pictures(spec.problem, fitted.truth, {contestant: fitted.scores}, spec.classes)
        needed = fitting.importance_of(spec, fitted)
        drawn["importance.png"] = plots.importance(needed)
        tracker.write(run_id, {importance.FILE: needed.to_json()})
        tracker.write(run_id, {f"plots/{name}": picture for name, picture in drawn.items()})
        own = {"code_commit": context.code_commit, "model_format": artifact.artifact_format, "mlflow_run": run_id}
        papers = card.files(spec, frozen, one, fitted, own)
        tracker.write(run_id, papers)
        version = None
        if role == "candidate":
            labels = {"imago.contestant": contestant, "imago.stage": "larva", "imago.training_ds": ds}
            version = tracker.register(run_id, artifact.artifact_uri, labels)
        result: dict[str, Any] = {
            "contestant": contestant,
            "role": role,
            "run_id": run_id,
            "version": version,
            "artifact": artifact.as_dict(),
            "metrics": fitted.metrics,
            "seconds": round(fitted.seconds, 2),
            "memory_mb": round(fitted.memory_mb),
            "link": tracker.run_link(run_id),
        }
        if card.TRIALS in papers and fitted.found is not None:
            result["search"] = fitted.found.as_dict()
        tracker.record(
            run_id,
            params={
                **fitting.settings(fitted.pipeline),
                **{f"search_{name}": value for name, value in result.get("search", {}).items()},
                **_origin(spec, frozen),
                "trained_until": frozen.cut.trained_until,
                "model_format": artifact.artifact_format,
            },
            metrics={**fitted.metrics, "fit_seconds": fitted.seconds, "peak_memory_mb": fitted.memory_mb},
            tags={
                "imago.result": json.dumps(result),
                "imago.artifact_sha256": artifact.artifact_sha256,
                # By this MLflow knows the file as a table.
                "mlflow.loggedArtifacts": json.dumps([{"path": card.TRIALS, "type": "table"}])
                if card.TRIALS in papers
                else None,
                **{f"imago.lib.{name}": value for name, value in fitting.libraries().items()},
            },
        )
        finished = True
    finally:
        tracker.finish(run_id, "FINISHED" if finished else "FAILED")
    return {**result, "reused": False}


def report(
    environment: Environment,
    spec: ModelSpec,
    ds: str,
    snapshot: str,
    fitted: Sequence[dict[str, Any]],
    context: RunContext,
) -> dict[str, Any]:
    """Puts all contestants side by side on one summary run, with the data-exploration report, and leaves word for
    deployment. Fails when a contestant of the spec is missing: an incomplete fight is no fight."""
    from imago.registry.tracking import Tracker
    from imago.storage import Storage
    from imago.training import comparison, fitting
    from imago.training import snapshot as snapshots

    results = {result["contestant"]: result for result in fitted}
    absent = [name for name in fitting.contestants(spec) if name not in results]
    if absent:
        raise ImagoError(
            f"{len(absent)} contestants were not fitted: {', '.join(absent)}",
            environment=environment.name,
            model=spec.name,
            partition=ds,
            rule="every contestant of the spec takes part",
            next_step="clear the failed fit tasks of this run; those that finished are reused",
        )
    frozen = snapshots.load(environment, snapshot).of(spec)
    ordered = [results[name] for name in fitting.contestants(spec)]
    tracker = Tracker(environment, spec.name)
    identity = comparison.identity(ordered)
    known = tracker.finished_run(identity)
    if known is not None:
        run_id = known.info.run_id
    else:
        run_id = tracker.start(
            f"{ds} training",
            {"imago.identity": identity, "imago.model": spec.name, "imago.role": "training", "imago.training_ds": ds,
             "imago.snapshot": frozen.folder, "mlflow.source.git.commit": context.code_commit,
             "mlflow.note.content": comparison.markdown(spec, ordered)},
        )  # fmt: skip
        finished = False
        try:
            scores = comparison.holdout_scores(environment, frozen, ordered)
            tracker.write(run_id, comparison.files(spec, frozen, ordered, scores))
            tracker.write(run_id, {"exploration.html": _exploration(spec, frozen).encode()})
            key = f"holdout_{spec.primary_metric}"
            tracker.record(
                run_id,
                params={**_origin(spec, frozen), **frozen.cut.as_dict()},
                metrics={f"{key}_{result['contestant']}": result["metrics"][key] for result in ordered},
                tags={},
            )
            finished = True
        finally:
            tracker.finish(run_id, "FINISHED" if finished else "FAILED")
    handed_over = ("contestant", "role", "run_id", "version", "artifact", "seconds")
    word = {
        "model": spec.name,
        "ds": ds,
        "snapshot": snapshot,
        "digest": frozen.digest,
        "training_run": run_id,
        "code_commit": context.code_commit,
        "contestants": [{name: result[name] for name in handed_over} for result in ordered],
    }
    Storage(environment).write_bytes(manifest_path(spec.name, ds), json.dumps(word, indent=1, sort_keys=True).encode())
    metric = f"holdout_{spec.primary_metric}"
    return {
        "ds": ds,
        "training_run": run_id,
        "manifest": manifest_path(spec.name, ds),
        "holdout": {result["contestant"]: round(result["metrics"][metric], 4) for result in ordered},
        "seconds": {result["contestant"]: result["seconds"] for result in ordered},
        "link": tracker.run_link(run_id),
    }


def load_manifest(environment: Environment, spec: ModelSpec, ds: str) -> dict[str, Any]:
    """What the training of `ds` left for deployment. Raises MissingPartition when it has not finished."""
    from imago.storage import Storage

    try:
        found: dict[str, Any] = json.loads(Storage(environment).read_bytes(manifest_path(spec.name, ds)))
    except FileNotFoundError as error:
        raise MissingPartition(
            f"no training of {ds} has finished",
            environment=environment.name,
            model=spec.name,
            partition=ds,
            next_step="run the training of that day first",
        ) from error
    return found


def _origin(spec: ModelSpec, frozen: Any) -> dict[str, Any]:
    """What every run of a training was made from, as parameters."""
    versions = {f"{table}_version": version for table, version in frozen.manifest["versions"].items()}
    return {"seed": spec.training.seed, "snapshot_digest": frozen.digest, **versions}


def _exploration(spec: ModelSpec, frozen: Any) -> str:
    from imago.exploration import explore

    features = frozen.rows.drop_columns([spec.label])
    outcomes = frozen.rows.select(["ds", *spec.entity_keys, spec.label])
    return str(explore(features, outcomes, spec))
