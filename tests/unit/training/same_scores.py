"""Fits every contestant of a shipped spec in a process of its own, and prints what its scores hash to.

    python same_scores.py MODEL FEATURES OUTCOMES CORES SEED FOLDER

CORES is 1 or 2; a SEED above 0 shuffles the tables' rows before they are joined.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys

MODEL, FEATURES, OUTCOMES, CORES, SEED, FOLDER = sys.argv[1:]
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(CORES)])
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = CORES

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.compute as pc  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import threadpoolctl  # noqa: E402

from imago.environments import Environment  # noqa: E402
from imago.registry import load_model, save  # noqa: E402
from imago.training import fitting, snapshot  # noqa: E402
from imago_models.flight_delays import FLIGHT_DELAYS  # noqa: E402


def digest(scores: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(scores).tobytes()).hexdigest()


def table(path: str, place: int) -> pa.Table:
    found = pq.read_table(path)
    if int(SEED):
        found = found.take(np.random.default_rng([int(SEED), place]).permutation(found.num_rows))
    return found


def main() -> None:
    spec = {FLIGHT_DELAYS.name: FLIGHT_DELAYS}[MODEL]
    environment = Environment(
        name="dev",
        storage_root=FOLDER,
        ledger_url="postgresql+psycopg2://nobody@localhost/none",  # type: ignore[arg-type]
        ledger_schema="none",
        mlflow_uri="sqlite:///none.db",
        registry_prefix="dev.",
        dbt_target="dev",
        alert_channel="#none",
    )
    features, outcomes = table(FEATURES, 1), table(OUTCOMES, 2)
    joined = snapshot.join(features, outcomes, spec)
    days = joined.column("ds")[-1].as_py()
    frozen = snapshot.Snapshot("", {"cut": snapshot.cut(spec, days).as_dict(), "digest": ""}, joined)
    holdout, told = frozen.part("holdout"), {}
    for name, one in fitting.contestants(spec).items():
        fitted = fitting.fit(spec, frozen, one)
        told[name] = {"pipeline": digest(fitted.scores), "rows": len(fitted.scores)}
        told[name]["metrics"] = digest(np.array(list(fitted.metrics.values())))
        artifact = save(
            environment, name, fitted.pipeline, features=[(part.name, part.kind) for part in spec.features],
            problem=spec.problem, columns=fitted.columns, scores=fitted.scores, facts={},
        )  # fmt: skip
        for file in sorted(set(artifact.artifacts) & {"model.skops", "model.onnx"}):
            scorer = load_model(environment, artifact, format=file.removeprefix("model."))
            told[name][file] = digest(scorer.predict(holdout))
    # The control: the same rows as they happen to come. Were this equal as well, the test would show nothing.
    mixed = joined.take(np.random.default_rng(int(SEED)).permutation(joined.num_rows))
    unordered = snapshot.Snapshot("", frozen.manifest, mixed)
    place = pc.sort_indices(
        unordered.part("holdout"), sort_keys=[("ds", "ascending"), (spec.entity_key, "ascending")]
    ).to_numpy()
    told["unordered"] = {"pipeline": digest(fitting.fit(spec, unordered, spec.candidates[-1]).scores[place])}
    threads = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    print(json.dumps({"threads": max(threads), "told": told}))


main()
