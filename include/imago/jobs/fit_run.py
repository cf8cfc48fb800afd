"""One contestant of one training: fitted, saved, and recorded as a run of MLflow."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import FitFailed, ModelRefused
from imago.registry import Artifact, save
from imago.registry.artifacts import MODEL_JSON
from imago.registry.tracking import Tracker
from imago.specs import Baseline, Candidate, ModelSpec
from imago.storage import Storage
from imago.training import card, fitting, importance, plots, search
from imago.training.faults import blamed
from imago.training.snapshot import Snapshot

log = logging.getLogger(__name__)
_SAVE = "train with the estimators in imago.registry.allowed, or add the type there once its code was read"
_REPORT = "report it with the run's log: predictions that pass every check should be drawn and written down"


def fit(
    environment: Environment, spec: ModelSpec, one: Candidate | Baseline, frozen: Snapshot, context: RunContext
) -> dict[str, Any]:
    """The result of the contestant's run; see `jobs.training.fit`. A finished run of the same fit is reused."""
    tracker = Tracker(environment, spec.name)
    run_id = None
    try:
        pipeline = fitting.build(spec, one)
        with blamed(spec.name, one.name, "built", _SAVE):
            identity = fitting.identity(spec, frozen, one, context.code_commit)
        known = tracker.finished_run(identity)
        if known is not None and Storage(environment).exists(
            f"{tracker.artifact_folder(known.info.run_id)}/model/model.json"
        ):
            log.info("%s: the same fit is recorded as run %s", one.name, known.info.run_id)
            return {**json.loads(known.data.tags["imago.result"]), "reused": True}
        run_id = _start(tracker, spec, one, frozen, context, identity)
        with blamed(spec.name, one.name, "searched", "correct its search in include/imago_models"):
            search.check(spec, one, pipeline)
        return {**_fit(environment, tracker, run_id, spec, one, frozen, context, identity), "reused": False}
    except FitFailed as fault:
        log.warning("%s failed: %s", one.name, fault)
        return _failed(tracker, run_id, spec, one, frozen, context, fault)
    except BaseException:
        if run_id is not None:
            tracker.finish(run_id, "FAILED")
        raise


def _start(
    tracker: Tracker,
    spec: ModelSpec,
    one: Candidate | Baseline,
    frozen: Snapshot,
    context: RunContext,
    identity: str,
) -> str:
    ds, role = frozen.cut.training_ds, fitting.role_of(one)
    tags = {
        "imago.identity": identity,
        "imago.model": spec.name,
        "imago.contestant": one.name,
        "imago.role": role,
        "imago.training_ds": ds,
        "imago.snapshot": frozen.folder,
        "imago.stage": "larva" if role == "candidate" else None,
        "imago.airflow_run": context.run_id,
        "mlflow.source.git.commit": context.code_commit,
        "mlflow.note.content": f"{one.why}\n\nTraining {ds}: {frozen.cut.in_words()}.",
    }
    tracker.end_abandoned(identity)
    return tracker.start(f"{ds} {one.name}", tags)


def _fit(
    environment: Environment,
    tracker: Tracker,
    run_id: str,
    spec: ModelSpec,
    one: Candidate | Baseline,
    frozen: Snapshot,
    context: RunContext,
    identity: str,
) -> dict[str, Any]:
    book = search.Book(environment, f"{frozen.folder}/search/{one.name}-{identity}")
    fitted = fitting.fit(spec, frozen, one, book)
    artifact = _saved(environment, tracker, run_id, spec, one, frozen, context, fitted)
    said = json.loads(Storage(environment).read_bytes(f"{tracker.artifact_folder(run_id)}/model/{MODEL_JSON}"))
    answers = card.answers_in_words(said["answers"], said["features"])
    with blamed(spec.name, one.name, "written down", _REPORT):
        papers = _papers(run_id, spec, one, frozen, context, fitted, artifact, answers)
    tracker.write(run_id, papers)
    role, version = fitting.role_of(one), None
    if role == "candidate":
        labels = {"imago.contestant": one.name, "imago.stage": "larva", "imago.training_ds": frozen.cut.training_ds}
        version = tracker.register(run_id, artifact.artifact_uri, labels)
    result: dict[str, Any] = {
        "contestant": one.name,
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
            **origin(spec, frozen),
            "trained_until": frozen.cut.trained_until,
            "model_format": artifact.artifact_format,
        },
        metrics={**fitted.metrics, "fit_seconds": fitted.seconds, "peak_memory_mb": fitted.memory_mb},
        tags={
            "imago.result": json.dumps(result),
            "imago.artifact_sha256": artifact.artifact_sha256,
            **{f"imago.{question.replace(' ', '_')}": answer for question, answer in answers.items()},
            # By this MLflow knows the file as a table.
            "mlflow.loggedArtifacts": json.dumps([{"path": card.TRIALS, "type": "table"}])
            if card.TRIALS in papers
            else None,
            **{f"imago.lib.{name}": value for name, value in fitting.libraries().items()},
        },
    )
    tracker.finish(run_id)
    return result


def _saved(
    environment: Environment,
    tracker: Tracker,
    run_id: str,
    spec: ModelSpec,
    one: Candidate | Baseline,
    frozen: Snapshot,
    context: RunContext,
    fitted: fitting.Fitted,
) -> Artifact:
    facts = {
        "model": spec.name,
        "contestant": one.name,
        "classes": list(spec.classes),
        "trained_until": frozen.cut.trained_until,
        "snapshot": frozen.folder,
        "snapshot_digest": frozen.digest,
        "contract": frozen.manifest.get("contract"),
        "categories": fitting.categories(spec, frozen),
        "seed": spec.training.seed,
        "code_commit": context.code_commit,
        "libraries": fitting.libraries(),
    }
    try:
        return save(
            environment,
            f"{tracker.artifact_folder(run_id)}/model",
            fitted.pipeline,
            features=[(feature.name, feature.kind) for feature in spec.features],
            problem=spec.problem,
            columns=fitted.columns,
            scores=fitted.scores,
            facts=facts,
        )
    except ModelRefused:  # and nothing else: a storage that does not answer is no fault of the candidate
        with blamed(spec.name, one.name, "saved", _SAVE):
            raise


def _papers(
    run_id: str,
    spec: ModelSpec,
    one: Candidate | Baseline,
    frozen: Snapshot,
    context: RunContext,
    fitted: fitting.Fitted,
    artifact: Artifact,
    answers: Mapping[str, str],
) -> dict[str, bytes]:
    """The files beside the model: pictures, importance, model card."""
    drawn = plots.pictures(spec.problem, fitted.truth, {one.name: fitted.scores}, spec.classes)
    needed = fitting.importance_of(spec, fitted)
    drawn["importance.png"] = plots.importance(needed)
    own = {
        "code_commit": context.code_commit,
        "model_format": artifact.artifact_format,
        "mlflow_run": run_id,
        **answers,
    }
    return {
        importance.FILE: needed.to_json(),
        **{f"plots/{name}": picture for name, picture in drawn.items()},
        **card.files(spec, frozen, one, fitted, {**own, **answers}),
    }


def _failed(
    tracker: Tracker,
    run_id: str | None,
    spec: ModelSpec,
    one: Candidate | Baseline,
    frozen: Snapshot,
    context: RunContext,
    fault: FitFailed,
) -> dict[str, Any]:
    """The result of a contestant that failed; its run in MLflow ends as FAILED, with the reason in its card."""
    if run_id is None:
        unbuilt = hashlib.sha256(json.dumps([frozen.digest, one.name, context.code_commit, "unbuilt"]).encode())
        run_id = _start(tracker, spec, one, frozen, context, unbuilt.hexdigest()[:32])
    tracker.write(run_id, {card.FILE: card.failed(spec, frozen, one, fault).encode()})
    tracker.record(
        run_id,
        params=origin(spec, frozen),
        metrics={},
        tags={
            "imago.failed": fault.message,
            "mlflow.note.content": f"FAILED: {fault}\n\n{one.why}",
            **{f"imago.lib.{name}": value for name, value in fitting.libraries().items()},
        },
    )
    tracker.finish(run_id, "FAILED")
    return {
        "contestant": one.name,
        "role": fitting.role_of(one),
        "run_id": run_id,
        "version": None,
        "failed": fault.message,
        "next_step": fault.next_step,
        "facts": fault.facts,
        "link": tracker.run_link(run_id),
    }


def origin(spec: ModelSpec, frozen: Snapshot) -> dict[str, Any]:
    """What every run of a training was made from, as parameters."""
    versions = {f"{table}_version": version for table, version in frozen.manifest["versions"].items()}
    return {"seed": spec.training.seed, "snapshot_digest": frozen.digest, **versions}
