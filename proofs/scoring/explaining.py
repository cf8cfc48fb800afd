"""Random predictions, rebuilt from their provenance alone, after the world went on: all of them equal.

Later champions were crowned and the features of many days were corrected, without scoring those days again. Each
prediction is rebuilt twice: by `explain`, and here, from the raw row of the ledger, the Delta version that it names and
the model that it names.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from imago import ledger
from imago.environments import Environment
from imago.jobs.explaining import explain
from imago.registry import load_model
from proofs.postgres import new_environment
from proofs.report import Report
from proofs.scoring.champions import goes_on, lived
from proofs.scoring.rows import of_key, stored_rows
from proofs.scoring.world import CONTEXT, KEY, SPEC, World, corrected, publish, table


def run(url: str, world: World, *, predictions: int) -> Report:
    """Rebuilds that many predictions."""
    report = Report("explanations")
    chance = random.Random(2013)
    with tempfile.TemporaryDirectory(prefix="imago-explain-") as folder:
        env = new_environment(url, Path(folder))
        stored = lived(env, world)
        goes_on(env, world)
        late = list(stored)[::2]
        publish(env, corrected(world.features(late), 3.0))
        equal = 0
        for _ in range(predictions):
            ds = chance.choice(list(stored))
            key = chance.choice(stored[ds].column(SPEC.entity_key).to_pylist())
            row = of_key(stored[ds], key)
            told, own = explain(env, SPEC, key, ds), rebuilt(env, ds, key)
            facts = f"stored {row['score']!r}, explained {told['rebuilt']!r}, rebuilt here {own!r}"
            equal += report.check(
                f"{key} of {ds}",
                told["equal"] and told["rebuilt"] == row["score"] == own and bool(told["drivers"]),
                facts,
            )
        _control(report, env, ds, key)
    report.say(
        f"{equal} of {predictions} random predictions rebuilt, all after the ledger went on and the features of "
        f"{len(late)} of {len(stored)} days were corrected"
    )
    return report


def rebuilt(env: Environment, ds: str, key: str) -> float:
    """The score of one prediction, from what the ledger's raw row names."""
    query = sa.text(
        "select inputs from publications where model = :model and table_name = 'predictions' and ds = :ds and changed"
    )
    named = {"model": SPEC.name, "ds": ds}
    with ledger.connect(env).connect() as connection:
        inputs: dict[str, Any] = connection.execute(query, named).scalar_one()
        champion = (
            connection.execute(sa.text("select * from champions where id = :id"), {"id": inputs["champion_id"]})
            .mappings()
            .one()
        )
    features = stored_rows(table(env, "features"), ds, version=inputs["features"]["version"])
    scores = load_model(env, champion).predict(features)
    place = features.column(SPEC.entity_key).to_pylist().index(key)
    return float(np.asarray(scores)[place])


def _control(report: Report, env: Environment, ds: str, key: str) -> None:
    """A stored score that its provenance does not give is told from one that it does."""
    predictions = table(env)
    rows, info = predictions.require(ds), predictions.partition(ds)
    assert info is not None
    place = rows.column_names.index("score")
    moved = rows.set_column(place, rows.field(place), pc.add(rows.column(place), pa.scalar(1e-12)))
    predictions.publish(moved, days=[ds], key=KEY, fence=predictions.draw_fence(), context=CONTEXT, inputs=info.inputs)
    told = explain(env, SPEC, key, ds)
    report.check("a score that was moved by 1e-12 is told as not equal", not told["equal"], told)
