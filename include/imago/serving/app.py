"""The endpoint: a FastAPI application that answers by key from the online table in Postgres.

GET /health               200 with champion, day and rows; 503 before the first deploy
GET /v1/{model}/{key}     200 with score, decision and the features used; 404 with the reason

The key is the text form of `imago.keys`, percent-encoded: `quote(key, safe="")`.

uvicorn.run(create(env, spec), host="127.0.0.1", port=8001)     or: imago serve MODEL
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.convertors import Convertor, register_url_convertor

from imago.environments import Environment
from imago.ledger import online
from imago.serving.requests import RequestLog
from imago.specs import ModelSpec


class _Key(Convertor[str]):
    """A key is the user's own text: it may be empty, and may hold slashes and line ends."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("key", _Key())

Reader = Callable[[], AbstractContextManager[Connection]]


def create(env: Environment, spec: ModelSpec, *, reader: Reader | None = None) -> FastAPI:
    """The application for one model. `reader` gives the connections that it reads from; with one of the caller's own
    nothing is logged (a proof before a swap is no request)."""
    engine = None
    requests: RequestLog | None = None
    if reader is None:
        engine = online.pooled(env)
        reader = engine.connect

        def write(entries: Any) -> None:
            with engine.begin() as connection:
                online.log_requests(connection, entries)

        requests = RequestLog(write)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if requests is not None:
            requests.start()
        yield
        if requests is not None:
            requests.close()
        if engine is not None:
            engine.dispose()

    app = FastAPI(title=f"Imago: {spec.name}", version="1", lifespan=lifespan)

    @app.get("/health")
    def health() -> JSONResponse:
        try:
            with reader() as connection:
                now = online.state(connection, spec.name)
        except SQLAlchemyError as error:
            return _refusal(
                503, "the online table cannot be read", str(error).splitlines()[0], "check that Postgres runs"
            )
        if now is None:
            return _refusal(503, "nothing is deployed yet", spec.name, "run endpoint_deploy for this model")
        return JSONResponse(
            {
                "status": "ok",
                "environment": env.name,
                "model": spec.name,
                "champion_id": now["champion_id"],
                "ds": now["ds"],
                "rows": now["rows"],
                "swapped_at": now["swapped_at"].isoformat(),
                "requests_not_logged": requests.lost if requests else 0,
            }
        )

    @app.get("/v1/{model}/{key:key}")
    def answer(model: str, key: str) -> JSONResponse:
        started = time.perf_counter()
        if model != spec.name:
            return _refusal(404, f"this endpoint does not serve {model!r}", model, f"ask for /v1/{spec.name}/{{key}}")
        if "\x00" in key:
            return _refusal(404, "a key cannot hold the character NUL", repr(key), "ask for another key")
        try:
            with reader() as connection:
                row = online.lookup(connection, spec.name, key)
        except SQLAlchemyError as error:
            return _refusal(
                503, "the online table cannot be read", str(error).splitlines()[0], "check that Postgres runs"
            )
        latency = (time.perf_counter() - started) * 1000
        if requests is not None:
            requests.add(
                {
                    "model": spec.name,
                    "key": key,
                    "status": 200 if row else 404,
                    "score": row["score"] if row else None,
                    "decision": row["decision"] if row else None,
                    "model_version": row["model_version"] if row else None,
                    "latency_ms": latency,
                }
            )
        if row is None:
            return _refusal(
                404,
                f"no score is known for this {', '.join(spec.entity_keys)}",
                key,
                "check the key; only the newest scored day is served, older ones are in the predictions table",
            )
        return JSONResponse(
            {
                "model": spec.name,
                **row["entity"],
                "ds": row["ds"],
                "event_time": row["event_time"].isoformat(),
                "score": row["score"],
                "decision": row["decision"],
                "decision_threshold": spec.decision_threshold,
                "model_version": row["model_version"],
                "features": row["features"],
            }
        )

    return app


def _refusal(status: int, message: str, seen: str, next_step: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "seen": seen, "next_step": next_step}}, status_code=status)
