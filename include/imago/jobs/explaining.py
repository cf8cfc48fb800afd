"""The job of `imago explain`: one stored prediction, rebuilt from its provenance alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError, MissingPartition
from imago.specs import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from imago.ledger.champions import Champion

DRIVERS = 5


def explain(env: Environment, spec: ModelSpec, key: str, ds: str) -> dict[str, Any]:
    """Rebuilds one stored prediction from its provenance alone, and says whether it is equal and what drove it.

    The drivers: by how much the score (of the class that was decided for) would change if a feature had its usual value
    of the training data.
    """
    import pyarrow.compute as pc

    from imago import ledger
    from imago.answers import told
    from imago.registry import load_model
    from imago.scoring.choice import choose
    from imago.tables import Table

    table = Table(env, spec.name, "predictions")
    rows = table.require(ds)
    row = rows.filter(pc.equal(rows.column(spec.entity_key), key)).to_pylist()
    stored = table.partition(ds)
    if not row or stored is None:
        raise ImagoError(
            f"no prediction is stored for {key}",
            environment=env.name,
            model=spec.name,
            partition=ds,
            seen=key,
            next_step=f"check the key; `imago partitions predictions {spec.name}` lists the scored days",
        )
    inputs = stored.inputs
    with ledger.connect(env).connect() as connection:
        chosen = choose(connection, spec.name, ds, "as-was", inputs)
    scorer = load_model(env, chosen)
    features = Table(env, spec.name, "features").read([ds], version=inputs["features"]["version"])
    features = features.filter(pc.equal(features.column(spec.entity_key), key))
    if features.num_rows != 1:
        raise MissingPartition(
            "the feature row that this prediction was made from is gone",
            environment=env.name,
            model=spec.name,
            table="features",
            partition=ds,
            next_step="the version was vacuumed: score the day again",
        )
    again = {name: value[0].as_py() for name, value in told(spec, scorer.predict(features)).items()}
    return {
        "key": key,
        "ds": ds,
        "stored": row[0],
        "rebuilt": again["score"],
        "equal": all(row[0][name] == value for name, value in again.items()),
        "inputs": inputs,
        "run_id": stored.run_id,
        "mode": stored.mode,
        "code_commit": stored.code_commit,
        "drivers": _drivers(env, spec, chosen, scorer, features),
    }


def _drivers(env: Environment, spec: ModelSpec, chosen: Champion, scorer: Any, row: pa.Table) -> list[dict[str, Any]]:
    import pyarrow as pa

    from imago.jobs import monitoring
    from imago.measures import decided

    usual = monitoring.reference_of(env, spec, chosen, RunContext.local()).profile
    variants = []
    for name in spec.feature_names:
        place = row.schema.get_field_index(name)
        value = pa.array([usual.columns[name].typical]).cast(row.schema.field(name).type)
        variants.append(row.set_column(place, row.schema.field(name), value))
    scores = scorer.predict(pa.concat_tables([row, *variants]))
    if scores.ndim == 2:
        scores = scores[:, decided(scores)[0]]
    changes = scores[0] - scores[1:]
    ranked = sorted(zip(spec.feature_names, changes, strict=True), key=lambda pair: -abs(pair[1]))[:DRIVERS]
    return [
        {
            "feature": name,
            "value": row.column(name)[0].as_py(),
            "usual": usual.columns[name].typical,
            "effect": float(change),
        }
        for name, change in ranked
    ]
