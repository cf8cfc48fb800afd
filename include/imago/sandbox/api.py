"""The parts of Slack that Imago calls, answered as Slack answers: errors of the Web API are 200 with `ok: false`."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from imago.sandbox.files import Files
from imago.sandbox.limits import RateLimit
from imago.sandbox.store import Store
from imago.texts import storable

TEAM = {"team": "Imago sandbox", "team_id": "T0IMAGO00", "user": "imago", "user_id": "U0IMAGO00", "bot_id": "B0IMAGO00"}
_LONGEST_TEXT = 40_000
# Limits of Block Kit: kind of text, longest.
_LONGEST = {"alt_text": 2000, "header": 150, "section": 3000, "field": 2000}


class SlackError(Exception):
    """A refusal in Slack's words."""


def make_api(
    *, store: Store, files: Files, token: str | Mapping[str, str], posts: RateLimit, updates: RateLimit
) -> APIRouter:
    """The routes below `/api/`. `token` is one that may write everywhere, or tokens with the one channel of each."""
    channel_of: dict[str, str | None] = {token: None} if isinstance(token, str) else dict(token)
    router = APIRouter(prefix="/api")

    def dispatch(method: str, values: dict[str, Any], base: str, own: str | None) -> JSONResponse:
        if method == "auth.test":
            return JSONResponse({"ok": True, "url": base, **TEAM})
        if method == "conversations.list":
            found = [
                {"id": row["id"], "name": row["name"], "is_channel": True, "is_member": True}
                for row in store.channels()
            ]
            return JSONResponse({"ok": True, "channels": found, "response_metadata": {"next_cursor": ""}})
        if method.startswith("files."):
            return JSONResponse(_file(files, method, values, base))
        if method not in ("chat.postMessage", "chat.update"):
            raise SlackError("unknown_method")
        asked = str(values.get("channel", ""))
        channel = store.channel(asked, create=method == "chat.postMessage" and own in (None, asked))
        if channel is None:
            raise SlackError("channel_not_found")
        if own is not None and f"#{channel['name']}" != own:
            raise SlackError("not_in_channel")
        text, blocks = _content(values, files)
        wait = (posts if method == "chat.postMessage" else updates).wait_for(channel["id"])
        if wait:
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": str(wait)})
        if method == "chat.update":
            ts = str(values.get("ts", ""))
            if not store.has_message(channel["id"], ts):
                raise SlackError("message_not_found")
            store.update(channel=channel["id"], ts=ts, text=text, blocks=blocks)
            return JSONResponse({"ok": True, "channel": channel["id"], "ts": ts, "text": text})
        thread_ts = values.get("thread_ts")
        if thread_ts is not None and not store.has_message(channel["id"], str(thread_ts)):
            raise SlackError("cannot_reply_to_message")
        metadata = _decoded(values.get("metadata"))
        ts = store.post(
            channel=channel["id"],
            text=text,
            blocks=blocks,
            thread_ts=None if thread_ts is None else str(thread_ts),
            broadcast=values.get("reply_broadcast") in (True, "true", "1"),
            metadata=metadata if isinstance(metadata, dict) else None,
        )
        message = {"type": "message", "text": text, "blocks": blocks, "ts": ts, "bot_id": TEAM["bot_id"]}
        return JSONResponse({"ok": True, "channel": channel["id"], "ts": ts, "message": message})

    @router.api_route("/{method}", methods=["GET", "POST"])
    async def call(method: str, request: Request) -> JSONResponse:
        try:
            values = dict(_storable(dict(request.query_params))) | _body(await request.body())
            given = request.headers.get("authorization", "").removeprefix("Bearer ") or str(values.get("token", ""))
            if not given:
                raise SlackError("not_authed")
            known = next((one for one in channel_of if hmac.compare_digest(given.encode(), one.encode())), None)
            if known is None:
                raise SlackError("invalid_auth")
            return await run_in_threadpool(dispatch, method, values, str(request.base_url), channel_of[known])
        except SlackError as refusal:
            return JSONResponse({"ok": False, "error": str(refusal)})

    @router.post("/upload/{file_id}")
    async def upload(file_id: str, request: Request) -> Response:
        taken = await run_in_threadpool(files.receive, file_id, await request.body())
        return PlainTextResponse("OK" if taken else "refused", 200 if taken else 400)

    return router


def make_webhooks(*, store: Store, files: Files, token: str | Mapping[str, str], posts: RateLimit) -> APIRouter:
    """Incoming webhooks, `/services/T0IMAGO00/B0IMAGO00/TOKEN`: each writes to the one channel of its token."""
    channel_of = {} if isinstance(token, str) else dict(token)
    router = APIRouter()

    def post(given: str, raw: bytes) -> Response:
        known = next((one for one in channel_of if hmac.compare_digest(given.encode(), one.encode())), None)
        channel = store.channel(channel_of[known], create=True) if known else None
        if channel is None:
            return PlainTextResponse("no_service", 404)
        try:
            text, blocks = _content(_body(raw), files)
        except SlackError:
            return PlainTextResponse("invalid_payload", 400)
        wait = posts.wait_for(channel["id"])
        if wait:
            return PlainTextResponse("rate_limited", 429, headers={"Retry-After": str(wait)})
        store.post(channel=channel["id"], text=text, blocks=blocks, thread_ts=None, broadcast=False, metadata=None)
        return PlainTextResponse("ok")

    @router.post("/services/{team}/{bot}/{given}")
    async def receive(team: str, bot: str, given: str, request: Request) -> Response:
        return await run_in_threadpool(post, given, await request.body())

    return router


def _file(files: Files, method: str, values: dict[str, Any], base: str) -> dict[str, Any]:
    if method == "files.getUploadURLExternal":
        length = str(values.get("length", ""))
        file_id = files.announce(int(length)) if length.isdecimal() and values.get("filename") else None
        if file_id is None:
            raise SlackError("invalid_arguments")
        return {"ok": True, "upload_url": f"{base}api/upload/{file_id}", "file_id": file_id}
    if method != "files.completeUploadExternal":
        raise SlackError("unknown_method")
    asked = _decoded(values.get("files"))
    if not isinstance(asked, list) or not asked:
        raise SlackError("invalid_arguments")
    ids = [str(one.get("id", "")) if isinstance(one, dict) else "" for one in asked]
    if not all(files.complete(file_id) for file_id in ids):
        raise SlackError("file_not_found")
    return {"ok": True, "files": [{"id": file_id} for file_id in ids]}


def _body(raw: bytes) -> dict[str, Any]:
    """The values of a JSON or form body. The SDK names JSON as the type of its forms too, so the bytes decide."""
    if not raw.lstrip().startswith(b"{"):
        return dict(_storable(dict(parse_qsl(raw.decode(errors="replace")))))
    return dict(_parsed(raw))


def _decoded(value: Any) -> Any:
    """A part that came as JSON inside a form."""
    return _parsed(value) if isinstance(value, str) else value


def _parsed(text: str | bytes) -> Any:
    try:
        return _storable(json.loads(text))
    except (ValueError, RecursionError):
        raise SlackError("invalid_json") from None


def _storable(value: Any) -> Any:
    # One more than is allowed: what is too long has to be refused, and not cut.
    return storable(value, _LONGEST_TEXT + 1)


def _content(values: dict[str, Any], files: Files) -> tuple[str, list[dict[str, Any]]]:
    text = str(values.get("text") or "")
    blocks = _decoded(values.get("blocks")) or []
    if not text and not blocks:
        raise SlackError("no_text")
    if len(text) > _LONGEST_TEXT:
        raise SlackError("msg_too_long")
    if not isinstance(blocks, list) or len(blocks) > 50 or not all(_is_valid(block, files) for block in blocks):
        raise SlackError("invalid_blocks")
    return text, blocks


def _is_valid(block: Any, files: Files) -> bool:
    if not isinstance(block, dict):
        return False
    kind = block.get("type")
    if kind == "header":
        return _fits(block.get("text"), "header", ("plain_text",))
    if kind == "section":
        fields = block.get("fields", [])
        has_text = "text" in block
        if not has_text and not fields:
            return False
        return (
            (not has_text or _fits(block["text"], "section", ("plain_text", "mrkdwn")))
            and isinstance(fields, list)
            and len(fields) <= 10
            and all(_fits(part, "field", ("plain_text", "mrkdwn")) for part in fields)
        )
    if kind == "context":
        parts = block.get("elements")
        return (
            isinstance(parts, list)
            and 1 <= len(parts) <= 10
            and all(_fits(part, "section", ("plain_text", "mrkdwn")) for part in parts)
        )
    if kind == "image":
        file = block.get("slack_file")
        shown = files.path(str(file.get("id", ""))) if isinstance(file, dict) else None
        return shown is not None and 1 <= len(str(block.get("alt_text", ""))) <= _LONGEST["alt_text"]
    return kind == "divider"


def _fits(element: Any, place: str, kinds: tuple[str, ...]) -> bool:
    if not isinstance(element, dict) or element.get("type") not in kinds:
        return False
    words = element.get("text")
    return isinstance(words, str) and 1 <= len(words) <= _LONGEST[place]
