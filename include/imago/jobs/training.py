"""The training DAG's tasks: freeze a snapshot, fit each contestant on it, report. None of them decides anything.

A candidate that fails costs the others nothing: its result says `failed` and why, and `report` goes on without it. A
baseline that fails ends the training, since nothing would show that a candidate is worth having.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import FitFailed, MissingPartition
from imago.specs import ModelSpec

log = logging.getLogger(__name__)


def manifest_path(model: str, ds: str) -> str:
    """Where a finished training leaves word for deployment, relative to the storage root."""
    return f"trainings/{model}/{ds}/training.json"


def freeze(environment: Environment, spec: ModelSpec, ds: str, context: RunContext) -> dict[str, Any]:
    """Freezes the snapshot of the training `ds` with the features' contract; names it and those who are to be fitted on
    it."""
    from imago.dbt import contract_of
    from imago.training import fitting, snapshot

    contract = contract_of(spec.feature_model, environment.dbt_target)
    frozen = snapshot.freeze(environment, spec, ds, contract=contract, run_id=context.run_id)
    log.info("snapshot %s: %s rows, %s", frozen.folder, frozen.rows.num_rows, json.dumps(frozen.manifest["parts"]))
    return {
        "ds": ds,
        "snapshot": frozen.folder,
        "digest": frozen.digest,
        "contestants": list(fitting.contestants(spec)),
        "cut": frozen.cut.as_dict(),
        "days": frozen.cut.in_words(),
        "parts": dict(frozen.manifest["parts"]),
        "versions": dict(frozen.manifest["versions"]),
        "outcomes_known_later": frozen.manifest["outcomes_known_later"],
    }


def fit(
    environment: Environment, spec: ModelSpec, snapshot: str, contestant: str, context: RunContext
) -> dict[str, Any]:
    """Fits one contestant and records it in MLflow: settings, metrics, pictures, model files; a candidate becomes a
    version. A finished run of the same data, settings, seed and code is reused.

    What the contestant does wrong is no error of this function: the result then says `failed` and the reason, and so
    does its run in MLflow. An error is what another try may mend: a server that does not answer.
    """
    from imago.jobs import fit_run
    from imago.training import fitting
    from imago.training import snapshot as snapshots

    one = fitting.contestant(spec, contestant)
    return fit_run.fit(environment, spec, one, snapshots.load(environment, snapshot).of(spec), context)


def report(
    environment: Environment,
    spec: ModelSpec,
    ds: str,
    snapshot: str,
    fitted: Sequence[dict[str, Any]],
    context: RunContext,
) -> dict[str, Any]:
    """Puts all contestants side by side on one summary run, with the data-exploration report, and leaves word for
    deployment.

    A candidate that failed, or whose task left no result, stands there with its reason, raises one alert, and takes no
    part. Raises FitFailed, with all reasons, when every candidate failed, and when a baseline did: a comparison that
    lacks a naive rule promotes nobody.
    """
    from imago.jobs import fit_run
    from imago.jobs.announcements import announce_failed_fits
    from imago.registry.tracking import Tracker
    from imago.storage import Storage
    from imago.training import comparison
    from imago.training import snapshot as snapshots
    from imago.training.faults import blamed

    frozen = snapshots.load(environment, snapshot).of(spec)
    done, failed = _sorted_out(spec, fitted)
    scores = {}
    for result in list(done):
        name = result["contestant"]
        try:
            with blamed(spec.name, name, "loaded as production loads it", "train again, and read the fit's log"):
                scores[name] = comparison.holdout_scores(environment, frozen, result)
        except FitFailed as fault:
            done.remove(result)
            failed.append({**result, "failed": fault.message})
    tracker = Tracker(environment, spec.name)
    identity = comparison.identity(done, failed)
    known = tracker.finished_run(identity)
    if known is not None:
        run_id = known.info.run_id
    else:
        run_id = tracker.start(
            f"{ds} training",
            {"imago.identity": identity, "imago.model": spec.name, "imago.role": "training", "imago.training_ds": ds,
             "imago.snapshot": frozen.folder, "mlflow.source.git.commit": context.code_commit,
             "imago.failed": ", ".join(result["contestant"] for result in failed) or None,
             "mlflow.note.content": comparison.markdown(spec, done, failed)},
        )  # fmt: skip
        finished = False
        try:
            tracker.write(run_id, comparison.files(spec, frozen, done, failed, scores))
            tracker.write(run_id, {"exploration.html": _exploration(spec, frozen).encode()})
            key = f"holdout_{spec.primary_metric}"
            tracker.record(
                run_id,
                params={**fit_run.origin(spec, frozen), **frozen.cut.as_dict()},
                metrics={f"{key}_{result['contestant']}": result["metrics"][key] for result in done},
                tags={},
            )
            tracker.nest([result["run_id"] for result in (*done, *failed) if result["run_id"]], run_id)
            finished = True
        finally:
            tracker.finish(run_id, "FINISHED" if finished else "FAILED")
    link = tracker.run_link(run_id)
    _check_enough(environment, spec, ds, done, failed)
    announce_failed_fits(environment, spec, ds, done, failed, link, context)
    handed_over = ("contestant", "role", "run_id", "version", "artifact", "seconds")
    word = {
        "model": spec.name,
        "ds": ds,
        "snapshot": snapshot,
        "digest": frozen.digest,
        "training_run": run_id,
        "code_commit": context.code_commit,
        "contestants": [{name: result[name] for name in handed_over} for result in done],
        "failed": [{name: result[name] for name in ("contestant", "role", "run_id", "failed")} for result in failed],
    }
    Storage(environment).write_bytes(manifest_path(spec.name, ds), json.dumps(word, indent=1, sort_keys=True).encode())
    metric = f"holdout_{spec.primary_metric}"
    return {
        "ds": ds,
        "training_run": run_id,
        "manifest": manifest_path(spec.name, ds),
        "holdout": {result["contestant"]: round(result["metrics"][metric], 4) for result in done},
        "failed": {result["contestant"]: result["failed"] for result in failed},
        "seconds": {result["contestant"]: result["seconds"] for result in done},
        "link": link,
    }


def _sorted_out(spec: ModelSpec, fitted: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The results of those that were fitted, and of those that failed, each in the spec's order."""
    from imago.training import fitting

    results = {result["contestant"]: result for result in fitted if result}
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for name, one in fitting.contestants(spec).items():
        result = results.get(name)
        if result is None:
            reason = f"{name} left no result: its task failed, was killed, or ran out of memory or time"
            result = {"contestant": name, "role": fitting.role_of(one), "run_id": None, "version": None,
                      "failed": reason, "next_step": "read the log of its task, then clear it"}  # fmt: skip
        (failed if result.get("failed") else done).append(result)
    return done, failed


def _check_enough(
    environment: Environment,
    spec: ModelSpec,
    ds: str,
    done: Sequence[dict[str, Any]],
    failed: Sequence[dict[str, Any]],
) -> None:
    """Raises FitFailed unless all baselines and at least one candidate were fitted."""
    baselines = [result for result in failed if result["role"] == "baseline"]
    if any(result["role"] == "candidate" for result in done) and not baselines:
        return
    what = (
        f"{len(baselines)} of {len(spec.baselines)} baselines failed, so nothing can be promoted"
        if baselines
        else f"all {len(failed)} candidates failed"
    )
    raise FitFailed(
        f"{what}: {'; '.join(result['failed'] for result in failed)}",
        environment=environment.name,
        model=spec.name,
        partition=ds,
        rule="every baseline and at least one candidate are fitted",
        next_step="correct them in include/imago_models, then clear the failed fits of this run; "
        "those that finished are reused",
    )


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


def _exploration(spec: ModelSpec, frozen: Any) -> str:
    from imago.exploration import explore

    features = frozen.rows.drop_columns([spec.label])
    outcomes = frozen.rows.select(["ds", *spec.entity_keys, spec.label])
    return str(explore(features, outcomes, spec))
