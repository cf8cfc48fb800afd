"""The job of `imago explain`: one stored prediction, rebuilt from its provenance alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError, MissingPartition
from imago.specs import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from imago.jobs.scored_day import DayScorer
    from imago.ledger.champions import Champion

DRIVERS = 5


def explain(env: Environment, spec: ModelSpec, key: str, ds: str) -> dict[str, Any]:
    """Rebuilds one stored prediction from its provenance alone, and says whether it is equal and what drove it.

    The drivers: by how much the score (of the class that was decided for) would change if a feature had its usual value
    of the training data.
    """
    import pyarrow.compute as pc

    from imago import ledger
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
    scorer = _scorer(env, spec, ds, inputs, chosen)
    features, again = _rebuilt(scorer, key)
    return {
        "key": key,
        "ds": ds,
        "stored": row[0],
        "rebuilt": again.get("score"),
        "equal": row[0] == again,
        "inputs": inputs,
        "run_id": stored.run_id,
        "mode": stored.mode,
        "code_commit": stored.code_commit,
        "drivers": _drivers(env, spec, chosen, scorer.model, features),
    }


def _scorer(env: Environment, spec: ModelSpec, ds: str, inputs: Mapping[str, Any], chosen: Champion) -> DayScorer:
    """The champion at work on that day, with the threshold and the policy of then."""
    from imago.jobs.scored_day import Assignment, DayScorer

    bad = inputs.get("bad_rows")
    policy = {"bad_rows": bad["policy"], "unseen": bad["unseen"]} if bad else {}
    then = {
        "decision_threshold": inputs["decision_threshold"],
        "scoring": spec.scoring.model_copy(update=policy),
    }
    features = {"contract": None, **inputs["features"]}
    assignment = Assignment(ds=ds, fence=0, champion_id=chosen.id or 0, choice="as-was", features=features)
    return DayScorer(env, spec.model_copy(update=then), assignment, chosen, RunContext.local())


def _rebuilt(scorer: DayScorer, key: str) -> tuple[pa.Table, dict[str, Any]]:
    """The feature row of `key`, and its prediction, from the very batch that it was scored in: of the same row in other
    company, a model of matrices gives a score that differs in its last bit."""
    import pyarrow as pa

    from imago.scoring.predictions import BATCH_ROWS
    from imago.tables import Table

    ds, spec, name = scorer.assignment.ds, scorer.spec, scorer.spec.entity_key
    version = scorer.assignment.features["version"]
    with Table(scorer.env, spec.name, "features").stream(ds, key=(name,), version=version) as day:
        for batch in day.batches(BATCH_ROWS):
            keys = batch.column(name).cast(pa.string()).to_pylist()
            if key not in keys:
                continue
            place = keys.index(key)
            answer = scorer.predictor.answer(batch).rows
            again = answer.slice(place, 1).to_pylist()[0] if answer is not None else {}
            return pa.Table.from_batches([batch.slice(place, 1)]), again
    raise MissingPartition(
        "the feature row that this prediction was made from is gone",
        environment=scorer.env.name,
        model=spec.name,
        table="features",
        partition=ds,
        next_step="the version was vacuumed: score the day again",
    )


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
