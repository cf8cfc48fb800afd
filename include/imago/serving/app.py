"""The endpoint: a FastAPI application that answers by key from the online table in Postgres, for all of its models.

GET /health               200 with each model's champion, day and rows; 503 before the first deploy of any
GET /health/{model}       the same of one model
GET /v1/{model}/{key}     200 with the prediction and the features used; 404 with the reason
GET /v1/{model}?key={key} the same, for keys that clients change in a path (`.` and `..`)

A prediction is `score` and `decision` where the model is binary; `decision` (the class), `score` (its chance) and
`probabilities` where it is multiclass; `score` (the number) for a regression.
The key is the text form of `imago.keys`, percent-encoded: `quote(key, safe="")`.

uvicorn.run(create(env, hosted_models), host="127.0.0.1", port=8001)     or: imago serve
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, RowMapping
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


def create(env: Environment, models: Callable[[], Iterable[ModelSpec]], *, reader: Reader | None = None) -> FastAPI:
    """The application for the models that `models` gives, which is asked at each request. `reader` gives the
    connections that it reads from; with one of the caller's own nothing is logged (a proof before a swap is no
    request)."""
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

    app = FastAPI(title=f"Imago: {env.name}", version="1", lifespan=lifespan)

    @app.exception_handler(SQLAlchemyError)
    def unreadable(_: Request, error: Exception) -> JSONResponse:
        return _refusal(503, "the online table cannot be read", str(error).splitlines()[0], "check that Postgres runs")

    def state_of(names: Iterable[str]) -> dict[str, dict[str, Any]]:
        with reader() as connection:
            states = {name: online.state(connection, name) for name in names}
        return {
            name: {
                "champion_id": state["champion_id"],
                "ds": state["ds"],
                "rows": state["rows"],
                "swapped_at": state["swapped_at"].isoformat(),
            }
            for name, state in states.items()
            if state is not None
        }

    @app.get("/health")
    def health() -> JSONResponse:
        names = [spec.name for spec in models()]
        deployed = state_of(names)
        if not names:
            return _refusal(503, "there is no model to serve", "none", "add a spec to the hosted models")
        if not deployed:
            return _refusal(503, "nothing is deployed yet", ", ".join(names), "run endpoint_deploy for a model")
        return JSONResponse(
            {
                "status": "ok",
                "environment": env.name,
                "models": deployed,
                "not_deployed": [name for name in names if name not in deployed],
                "requests_not_logged": requests.lost if requests else 0,
            }
        )

    @app.get("/health/{model}")
    def health_of(model: str) -> JSONResponse:
        names = [spec.name for spec in models()]
        if model not in names:
            return _unknown(model, names)
        deployed = state_of([model])
        if model not in deployed:
            return _refusal(503, "nothing is deployed yet", model, "run endpoint_deploy for this model")
        lost = requests.lost if requests else 0
        body = {"status": "ok", "environment": env.name, "model": model, **deployed[model], "requests_not_logged": lost}
        return JSONResponse(body)

    @app.get("/v1/{model}/{key:key}")
    def answer_at(model: str, key: str, request: Request) -> JSONResponse:
        return answer(model, _as_sent(request, key))

    @app.get("/v1/{model}")
    def answer(model: str, key: str | None = None) -> JSONResponse:
        started = time.perf_counter()
        specs = {spec.name: spec for spec in models()}
        if model not in specs:
            return _unknown(model, list(specs))
        if key is None:
            return _refusal(404, "no key is asked for", "", f"ask for /v1/{model}?key=KEY, or for /v1/{model}/KEY")
        if "\x00" in key:
            return _refusal(404, "a key cannot hold the character NUL", repr(key), "ask for another key")
        with reader() as connection:
            row = online.lookup(connection, model, key)
        latency = (time.perf_counter() - started) * 1000
        if requests is not None:
            requests.add(
                {
                    "model": model,
                    "key": key,
                    "status": 200 if row else 404,
                    "score": row["score"] if row else None,
                    "decision": row["decision"] if row else None,
                    "model_version": row["model_version"] if row else None,
                    "latency_ms": latency,
                }
            )
        spec = specs[model]
        if row is None:
            return _refusal(
                404,
                f"no score is known for this {', '.join(spec.entity_keys)}",
                key,
                "check the key; only the newest scored day is served, older ones are in the predictions table",
            )
        return JSONResponse(
            {
                "model": model,
                **row["entity"],
                "ds": row["ds"],
                "event_time": row["event_time"].isoformat(),
                **_prediction(spec, row),
                "model_version": row["model_version"],
                "features": row["features"],
            }
        )

    return app


def _prediction(spec: ModelSpec, row: RowMapping) -> dict[str, Any]:
    """What a stored row says, by the model's problem."""
    if spec.problem == "regression":
        return {"score": row["score"]}
    said = {"score": row["score"], "decision": row["decision"]}
    if spec.problem == "multiclass":
        return {**said, "probabilities": row["probabilities"]}
    return {**said, "decision_threshold": spec.decision_threshold}


def _unknown(model: str, names: Sequence[str]) -> JSONResponse:
    served = ", ".join(names) or "none"
    return _refusal(404, f"this endpoint does not serve {model!r}", model, f"ask for one of its models: {served}")


def _as_sent(request: Request, key: str) -> str:
    """The key of an address, decoded once: there are servers and clients that decode twice, and a key may hold a %."""
    raw = request.scope.get("raw_path")
    if not raw:
        return key
    sent = raw.decode("ascii", "replace").removeprefix(request.scope.get("root_path", ""))
    return unquote(sent.removeprefix("/v1/").partition("?")[0].partition("/")[2])


def _refusal(status: int, message: str, seen: str, next_step: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "seen": seen, "next_step": next_step}}, status_code=status)
