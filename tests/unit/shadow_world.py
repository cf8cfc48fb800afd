"""What a training of the champions' world leaves: candidates with versions, of which any may shadow."""

from __future__ import annotations

import json

from champion_world import CONTRACT, LIVE, SPEC, TRAINED

from imago.jobs.training import manifest_path
from imago.storage import Storage


def left_by_a_training(env, versions, *, ds=TRAINED, spec=SPEC, contract=CONTRACT):
    """Fits a candidate for each version (to its seed, or the function that builds it) on the snapshot of `ds`, saves it
    as the registry does, and leaves word as the training does."""
    from imago.registry import save
    from imago.training import fitting, snapshot

    frozen = snapshot.freeze(env, spec, ds, contract=contract, run_id=LIVE.run_id)
    contestants = []
    for version, how in versions.items():
        tuned, candidate = spec, spec.candidates[0]
        if callable(how):
            candidate = candidate.model_copy(update={"build": how})
        else:
            tuned = spec.model_copy(update={"training": spec.training.model_copy(update={"seed": how})})
        fitted = fitting.fit(tuned, frozen, candidate)
        artifact = save(
            env,
            f"mlflow/toy/{version}/model",
            fitted.pipeline,
            features=[(feature.name, feature.kind) for feature in spec.features],
            problem=spec.problem,
            columns=fitted.columns,
            scores=fitted.scores,
            facts={
                **({"classes": list(spec.classes)} if spec.classes else {}),
                "snapshot": frozen.folder,
                "trained_until": frozen.cut.trained_until,
                "contract": frozen.manifest["contract"],
            },
        )
        contestants.append(
            {"contestant": f"line_{version}", "role": "candidate", "run_id": f"run-{version}", "version": version,
             "artifact": artifact.as_dict()}
        )  # fmt: skip
    word = {"model": spec.name, "ds": ds, "snapshot": frozen.folder, "contestants": contestants}
    Storage(env).write_bytes(manifest_path(spec.name, ds), json.dumps(word).encode())
    return contestants
