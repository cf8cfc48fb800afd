"""The task `retrain` of monitoring: a confirmed drift starts a training, within its guards, and the ledger says why."""

from __future__ import annotations

from typing import Any, Protocol

from imago.context import RunContext
from imago.days import shift
from imago.environments import Environment
from imago.names import dag_id
from imago.specs import ModelSpec


class Trainings(Protocol):
    """Whatever can start a run of a DAG, once, for a partition; it gives the address of the run."""

    def start(self, dag: str, *, partition_key: str, run_id: str, note: str) -> str: ...


def consider(env: Environment, spec: ModelSpec, ds: str, context: RunContext, trainings: Trainings) -> dict[str, Any]:
    """Decides once for each day whether its drift starts a training of the last closed day, and starts it.

    The decision is in the ledger before the run is asked for, so a retry asks for the same run and no second one comes.
    A backfill never trains.
    """
    from imago.jobs.monitoring import judgement_of
    from imago.monitoring.drift import verdicts
    from imago.monitoring.retraining import asks

    if context.mode != "live":
        return {"ds": ds, "outcome": "none", "reason": "a backfill trains nothing"}
    judgement = judgement_of(env, spec, ds)
    said = verdicts(judgement.findings)
    if not asks(said):
        return {"ds": ds, "outcome": "none", "reason": "no drift of inputs or predictions is confirmed"}
    row = _decided(env, spec, ds, judgement.inputs["reference"], said, context)
    summary = {name: row[name] for name in ("ds", "training_ds", "outcome", "reason")}
    if row["outcome"] != "triggered":
        return summary
    run = f"drift__{row['training_ds']}__{ds}"
    address = trainings.start(
        dag_id(env.name, spec.name, "training"), partition_key=row["training_ds"], run_id=run, note=row["reason"]
    )
    return {**summary, "run": run, "link": address}


def _decided(
    env: Environment, spec: ModelSpec, ds: str, reference: str, said: Any, context: RunContext
) -> dict[str, Any]:
    """The day's row of the ledger: the one that is there, or a new one."""
    from sqlalchemy import select, text

    from imago import ledger
    from imago.ledger import champions
    from imago.ledger.schema import retrainings
    from imago.monitoring.retraining import Earlier, decide

    mine = retrainings.c.model == spec.name
    with ledger.connect(env).begin() as connection:
        # Two days at once must not both find that the cool-down is over.
        connection.execute(
            text("select pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"retraining of {spec.name}"}
        )
        known = connection.execute(select(retrainings).where(mine, retrainings.c.ds == ds)).mappings().one_or_none()
        if known is not None:
            return dict(known)
        started = connection.execute(
            select(retrainings.c.ds, retrainings.c.reference)
            .where(mine, retrainings.c.outcome == "triggered", retrainings.c.ds < ds)
            .order_by(retrainings.c.ds)
        ).all()
        reigning = champions.reigning(connection, spec.name)
        decision = decide(
            ds,
            said,
            reference=reference,
            reigning=reigning.artifact_sha256 if reigning else None,
            earlier=[Earlier(row.ds, row.reference) for row in started],
            drift=spec.drift,
        )
        row = {
            "model": spec.name,
            "ds": ds,
            "training_ds": shift(ds, -1),
            "reference": reference,
            "outcome": decision.outcome,
            "reason": decision.reason,
            "drift": {one.concern: one.columns for one in said if one.fired},
            "run_id": context.run_id,
        }
        connection.execute(retrainings.insert().values(**row))
    return row
