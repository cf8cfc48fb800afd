"""The tasks of `endpoint_deploy`: the new champion's answers go online, after the endpoint has proved that it gives
them.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError, MissingPartition, NoChampion
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    import pyarrow as pa
    from fastapi import FastAPI
    from sqlalchemy import Connection

    from imago.ledger.champions import Champion


def deploy(env: Environment, spec: ModelSpec, context: RunContext) -> dict[str, Any]:
    """Loads the reigning champion's scores of the newest published features day, and swaps when the endpoint proves
    them.

    Table, proof and state are one transaction: until it commits, and when the proof fails, the old answers stand. In
    mode backfill
    nothing is done. Raises NoChampion, MissingPartition, and ImagoError (with an alert) when the proof fails.
    """
    from imago import ledger
    from imago.alerts.outbox import resolve
    from imago.ledger import champions, online

    if context.mode != "live":
        return {"skipped": f"mode {context.mode}: the online table is only touched by live runs"}
    engine = ledger.connect(env)
    with engine.connect() as connection:
        champion = champions.reigning(connection, spec.name)
    if champion is None:
        raise NoChampion(
            "nobody reigns, so there is nothing to serve",
            environment=env.name,
            model=spec.name,
            next_step="run training and deployment for this model first",
        )
    ds, scored, features = _newest(env, spec, champion)
    rows = online_rows(spec, scored, features)
    try:
        with engine.begin() as connection:
            changed = online.swap(connection, spec.name, champion_id=champion.id or 0, ds=ds, rows=rows)
            proof = _prove(env, spec, connection, rows[0], champion)
            resolve(connection, spec.name, "endpoint_failed", "endpoint", context)
    except ImagoError as failure:
        _tell_failed(env, spec, champion, failure, context)
        raise
    return {
        "ds": ds,
        "rows": len(rows),
        "champion_id": champion.id,
        "model_version": champion.version,
        "changed": changed,
        "proof": proof,
    }


def refresh(env: Environment, spec: ModelSpec, ds: str, champion: Champion) -> str:
    """Puts a freshly scored day online, when an endpoint is deployed, this champion reigns there and no later day is
    served.

    Called by live scoring, so that the endpoint answers for today without another deploy. Says what it did.
    """
    from imago import ledger
    from imago.ledger import online
    from imago.tables import Table

    with ledger.connect(env).begin() as connection:
        online.lock(connection, spec.name)
        now = online.state(connection, spec.name)
        if now is None:
            return "not deployed"
        if now["champion_id"] != champion.id or ds < now["ds"]:
            return "untouched"
        predictions, features = Table(env, spec.name, "predictions"), Table(env, spec.name, "features")
        stored = predictions.partition(ds)
        if stored is None or stored.inputs["champion_id"] != champion.id:
            return "untouched"  # a later attempt published the day with another champion, and brings it online
        scored = predictions.read([ds], version=stored.version)
        made_of = features.read([ds], version=stored.inputs["features"]["version"])
        rows = online_rows(spec, scored, made_of)
        changed = online.swap(connection, spec.name, champion_id=champion.id or 0, ds=ds, rows=rows)
    return "swapped" if changed else "unchanged"


def online_rows(spec: ModelSpec, scored: pa.Table, features: pa.Table) -> list[dict[str, Any]]:
    """The rows of the online table, by the text form of the key: prediction and the features that it was made from. A
    row without a score, which the policy for bad rows leaves, has no answer to give."""
    from imago import keys

    inputs = dict(zip(keys.texts(features, spec.entity_keys).to_pylist(), features.to_pylist(), strict=True))
    return [
        {
            "key": key,
            "entity": {name: keys.as_json(row[name]) for name in spec.entity_keys},
            "ds": row["ds"],
            "event_time": row["event_time"],
            "score": row["score"],
            "decision": row.get("decision"),
            "probabilities": {name: row[f"score_{name}"] for name in spec.classes} or None,
            "model_version": row["model_version"],
            "features": {name: _json(inputs[key].get(name)) for name in spec.feature_names},
        }
        for key, row in zip(keys.texts(scored, spec.entity_keys).to_pylist(), scored.to_pylist(), strict=True)
        if row["score"] is not None
    ]


def _newest(env: Environment, spec: ModelSpec, champion: Champion) -> tuple[str, pa.Table, pa.Table]:
    """The newest features day with this champion's scores: the published ones, else made now by the same model."""
    from imago.registry import load_model
    from imago.scoring.whole import predict_day
    from imago.tables import Table

    table = Table(env, spec.name, "features")
    days = [info for info in table.partitions() if info.rows]
    if not days:
        raise MissingPartition(
            "no features are published, so there is nothing to answer with",
            environment=env.name,
            model=spec.name,
            table="features",
            next_step="run feature_refresh, then endpoint_deploy again",
        )
    newest = days[-1]
    features = table.as_published(newest.ds, newest.version)
    predictions = Table(env, spec.name, "predictions")
    stored = predictions.partition(newest.ds)
    if (
        stored is not None
        and stored.inputs.get("artifact_sha256") == champion.artifact_sha256
        and stored.inputs["features"]["digest"] == newest.digest
    ):
        return newest.ds, predictions.read([newest.ds], version=stored.version), features
    scorer = load_model(env, champion)
    where = {"environment": env.name, "model": spec.name, "table": "features", "partition": newest.ds}
    told = predict_day(spec, scorer, features, where=where, published=newest.inputs, version=champion.version)
    return newest.ds, told, features


def _prove(
    env: Environment, spec: ModelSpec, connection: Connection, row: dict[str, Any], champion: Champion
) -> dict[str, Any]:
    """Asks the real application for one key, inside of the transaction that brings the rows."""
    from imago.serving.app import create

    @contextmanager
    def reader() -> Iterator[Connection]:
        yield connection

    key = quote(row["key"], safe="")
    health, response = asyncio.run(
        _asked(create(env, lambda: (spec,), reader=reader), f"/health/{spec.name}", f"/v1/{spec.name}?key={key}")
    )
    answer = response.json()
    good = (
        health.status_code == 200
        and health.json()["champion_id"] == champion.id
        and response.status_code == 200
        and answer["model_version"] == row["model_version"]
        and answer["score"] == row["score"]
        and answer.get("decision") == row["decision"]
        and answer.get("probabilities") == row["probabilities"]
    )
    if not good:
        raise ImagoError(
            f"the endpoint did not answer as version {champion.version} would; the old answers stand",
            environment=env.name,
            model=spec.name,
            rule="endpoint proof",
            allowed=f"score {row['score']} for {row['key']}",
            seen=f"status {response.status_code}: {str(answer)[:200]}",
            next_step="run endpoint_deploy again; if it fails again, look at its task log",
        )
    return {
        "key": row["key"],
        "status": response.status_code,
        "score": answer["score"],
        "decision": answer.get("decision"),
    }


async def _asked(app: FastAPI, *paths: str) -> list[httpx.Response]:
    """The application's answers, without a port: the whole way through routing and JSON."""
    import httpx

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://endpoint") as client:
        return [await client.get(path) for path in paths]


def _tell_failed(
    env: Environment, spec: ModelSpec, champion: Champion, failure: ImagoError, context: RunContext
) -> None:
    from imago import ledger
    from imago.alerts.outbox import Alert, raise_alert

    with ledger.connect(env).begin() as connection:
        raise_alert(
            connection,
            Alert(
                model=spec.name,
                rule="endpoint_failed",
                subject="endpoint",
                title=f"Version {champion.version} was not put online: {failure.message}",
                why="The endpoint goes on with the answers of before, while batches are scored by the new champion.",
                did="The swap was rolled back; the run failed.",
                next_step=failure.next_step,
                facts=failure.facts,
                occurrence=champion.effective_ds,
            ),
            context,
        )


def _json(value: Any) -> Any:
    """A feature as JSON holds it: a number that is none becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
