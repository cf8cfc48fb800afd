"""A champion on three months of real flights, and days of as many rows as one asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from imago import ledger
from imago.context import RunContext
from imago.dbt import contract_of
from imago.environments import Environment
from imago.jobs import features, landing, monitoring, outcomes
from imago.jobs.scored_day import DayScorer, assign
from imago.jobs.scoring import score
from imago.ledger import champions
from imago.ledger.champions import Champion
from imago.registry import save
from imago.registry.inputs import frame_of
from imago.scoring.predictions import BATCH_ROWS
from imago.specs import get_model
from imago.storage import Storage
from imago.tables import Table
from imago.training import fitting, snapshot
from proofs.postgres import new_environment

SPEC = get_model("flight_delays")
CONTEXT = RunContext(run_id="benchmark", mode="backfill", code_commit="benchmark")
FIRST, LAST, DAY = "2013-01-01", "2013-03-31", "2013-04-10"


@dataclass(frozen=True)
class World:
    """`flavor` is the champion as MLflow's own scikit-learn flavor."""

    env: Environment
    candidate: str
    flavor: Path

    def features(self, rows: int) -> Path:
        """Publishes a day of so many rows; returns its file."""
        table = Table(self.env, SPEC.name, "features")
        base = table.read().filter(pc.not_equal(table.read(columns=["ds"]).column("ds"), DAY))
        base = base.set_column(base.schema.get_field_index("ds"), "ds", pa.repeat(DAY, base.num_rows)).combine_chunks()
        table.publish_stream(
            _repeated(base, rows), base.schema, ds=DAY, key=SPEC.entity_keys, fence=table.draw_fence(),
            context=CONTEXT,
        )  # fmt: skip
        (file,) = table.files([DAY])
        return Path(file)

    def score(self) -> dict[str, Any]:
        """Imago's job."""
        return score(self.env, SPEC, DAY, CONTEXT)

    def day_scorer(self) -> DayScorer:
        """What the job works with."""
        assignment, chosen = assign(self.env, SPEC, DAY, "as-was", CONTEXT)
        return DayScorer(self.env, SPEC, assignment, chosen, CONTEXT)

    def forget(self, *tables: str) -> None:
        """Makes the next publish the first one of its table."""
        for name in tables:
            Storage(self.env).delete(f"tables/{SPEC.name}/{name}")


def made(url: str, folder: Path, candidate: str) -> World:
    """Lands and refreshes the months, fits the candidate on them, and crowns it."""
    env = new_environment(url, folder)
    landing.land(env, FIRST, LAST, CONTEXT)
    features.refresh(env, SPEC, FIRST, LAST, CONTEXT)
    outcomes.refresh(env, SPEC, FIRST, "2013-03-30", CONTEXT)
    frozen = snapshot.freeze(
        env, SPEC, "2013-03-30", contract=contract_of(SPEC.feature_model, env.dbt_target), run_id=CONTEXT.run_id
    )
    one = fitting.contestant(SPEC, candidate).model_copy(update={"search": None})
    fitted = fitting.fit(SPEC, frozen, one)
    artifact = save(
        env,
        "mlflow/benchmark/model",
        fitted.pipeline,
        features=[(feature.name, feature.kind) for feature in SPEC.features],
        problem=SPEC.problem,
        columns=fitted.columns,
        scores=fitted.scores,
        facts={
            "snapshot": frozen.folder,
            "trained_until": frozen.cut.trained_until,
            "contract": frozen.manifest["contract"],
        },
    )
    with ledger.connect(env).begin() as connection:
        entry = Champion(
            model=SPEC.name, action="promote", version="1", run_id="run-1", training_ds="2013-03-30",
            trained_until=frozen.cut.trained_until, effective_ds=frozen.cut.effective_ds,
            decided_at=datetime(2013, 4, 1, tzinfo=UTC), decided_by="benchmark", decision_id=None,
            reason="it is the only one", **artifact.as_dict(),
        )  # fmt: skip
        crowned = champions.crown(connection, entry, expected=None)
    monitoring.write_reference(env, SPEC, crowned, CONTEXT)
    return World(env, candidate, _flavor(fitted.pipeline, frame_of(fitted.columns), folder / "flavor"))


def _flavor(pipeline: Any, frame: pd.DataFrame, folder: Path) -> Path:
    """The pipeline as MLflow advises to save it: with a signature, which `pyfunc` holds its input against."""
    import mlflow.sklearn
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema

    # Any feature may be missing on some day.
    said = infer_signature(frame, pipeline.predict_proba(frame))
    inputs = Schema([ColSpec(column.type, column.name, required=False) for column in said.inputs.inputs])
    mlflow.sklearn.save_model(
        pipeline,
        str(folder),
        signature=ModelSignature(inputs, said.outputs),
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    return folder


def _repeated(base: pa.Table, rows: int) -> Iterator[pa.RecordBatch]:
    """The base's rows again and again, under keys that rise."""
    place = base.schema.get_field_index(SPEC.entity_key)
    twice = pa.concat_tables([base, base]).combine_chunks()
    for start in range(0, rows, BATCH_ROWS):
        size = min(BATCH_ROWS, rows - start)
        numbers = pa.array(range(start, start + size), pa.int64()).cast(pa.string())
        keys = pc.binary_join_element_wise(DAY, pc.utf8_lpad(numbers, 12, "0"), "-")
        part = twice.slice(start % base.num_rows, size).set_column(place, SPEC.entity_key, keys)
        yield from part.combine_chunks().to_batches()
