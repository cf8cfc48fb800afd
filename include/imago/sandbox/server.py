"""The sandbox's web application: Slack's API, the page, and the runbooks that messages link to."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware

from imago.alerts.mrkdwn import blocks_to_html
from imago.alerts.rules import RULES
from imago.sandbox.api import TEAM, make_api, make_webhooks
from imago.sandbox.files import Files
from imago.sandbox.limits import RateLimit
from imago.sandbox.store import Store

_STATIC = Path(__file__).parent / "static"
_TEMPLATE = Path(__file__).parent / "runbook.html"
# `default-src 'self'`: even a message that slipped through the escaping could load and run nothing.
_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self'; frame-ancestors 'self'; base-uri 'none'"


def create_app(
    *,
    folder: Path,
    token: str | Mapping[str, str],
    posts: RateLimit | None = None,
    updates: RateLimit | None = None,
    docs: Path | None = None,
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]", "testserver"),
) -> FastAPI:
    """The application, keeping its messages under `folder` and answering API calls that carry `token`.

    By default a channel takes one message a second after a burst of three, as Slack does, and 50 updates a minute.
    `docs` is the folder with `runbooks/`; `hosts` are the names under which a browser may ask for the page.
    """
    store, files = Store(folder), Files(folder / "files")
    posts = posts or RateLimit(per_second=1.0, burst=3)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(title="Imago Slack sandbox", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))

    @app.middleware("http")
    async def guard(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    updates = updates or RateLimit(per_second=50 / 60, burst=20)
    app.include_router(make_api(store=store, files=files, token=token, posts=posts, updates=updates))
    app.include_router(make_webhooks(store=store, files=files, token=token, posts=posts))

    @app.get("/files/{file_id}")
    def file(file_id: str) -> FileResponse:
        path = files.path(file_id)
        if path is None:
            raise HTTPException(404, "there is no such file")
        return FileResponse(path, media_type="image/png")

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "messages": len(store.messages()), "version": store.version}

    @app.get("/api-sandbox/messages")
    def messages(channel: str | None = None) -> dict[str, Any]:
        """All messages with threads as flat rows, oldest first; of one channel where it is named."""
        if channel is None:
            return {"messages": store.messages()}
        row = store.channel(channel, create=False)
        return {"messages": store.messages(row["id"]) if row is not None else []}

    @app.get("/api-sandbox/state")
    def state(version: int = -1) -> dict[str, Any]:
        """What the page draws; only the version when nothing changed since `version`."""
        if version == store.version:
            return {"version": version}
        seen = store.version
        drawn = [
            {
                "channel": message["channel"],
                "ts": message["ts"],
                "thread_ts": message["thread_ts"],
                "broadcast": message["broadcast"],
                "edited": message["edited_ts"] is not None,
                "html": blocks_to_html(message["blocks"], message["text"]),
                "text": message["text"],
            }
            for message in store.messages()
        ]
        channels = [{"id": row["id"], "name": row["name"]} for row in store.channels()]
        return {"version": seen, "team": TEAM["team"], "channels": channels, "messages": drawn}

    @app.get("/docs/runbooks/{page}", response_class=HTMLResponse)
    def runbook(page: str) -> str:
        """A runbook page, so that the link in a message leads somewhere on a machine without a documentation site."""
        from markdown_it import MarkdownIt

        name = page.removesuffix(".md")
        file = docs / "runbooks" / f"{name}.md" if docs is not None and name in RULES else None
        if file is None or not file.is_file():
            raise HTTPException(404, "there is no such runbook")
        body = MarkdownIt("commonmark", {"html": False}).enable("table").render(file.read_text(encoding="utf-8"))
        return _TEMPLATE.read_text(encoding="utf-8").replace("{{name}}", name).replace("{{body}}", body)

    app.mount("/", StaticFiles(directory=_STATIC, html=True), name="page")
    return app
