"""A fake Slack that misbehaves by script, then behaves."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class HostileSlack:
    """Each call takes the next word of `script`: `429`, `500`, `false` (ok: false), `refuse` (only blocks), `html`,
    `reset`, `hang`, `lost` (taken, but the answer is lost), or `ok`; another word is the error that it answers. Calls
    below `/services/` are those of a webhook. After the script all is well, and so it is for every channel but
    `channel`, where one is named. `shown` holds what a person would see."""

    def __init__(self, *script: str, retry_after: str = "1", channel: str | None = None) -> None:
        self.script, self.retry_after = list(script), retry_after
        self.shown: list[dict] = []
        self.updates: list[dict] = []
        self.released = threading.Event()  # ends a `hang`
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"])) or b"{}"
                body = json.loads(raw) if raw.startswith(b"{") else {}
                is_target = channel in (None, body.get("channel"))
                is_hook = "/services/" in self.path
                word = fake.script.pop(0) if fake.script and is_target else "ok"
                if word == "refuse" and not body.get("blocks"):
                    word = "ok"
                if word == "hang":
                    fake.released.wait()
                if word in ("reset", "hang"):
                    self.connection.close()
                    return None
                if word in ("ok", "lost"):
                    ts = f"{time.time():.6f}"
                    (fake.updates if self.path.endswith("chat.update") else fake.shown).append({**body, "ts": ts})
                    if word == "lost":
                        self.connection.close()
                        return None
                    return self.answer(200, "ok" if is_hook else {"ok": True, "channel": "C1", "ts": ts})
                if word == "429":
                    return self.answer(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": fake.retry_after})
                if word == "html":
                    return self.answer(200, "<html>a proxy's page</html>")
                if is_hook and word != "500":
                    return self.answer(404, word)
                error = {"false": "internal_error", "refuse": "invalid_blocks"}.get(word, word)
                self.answer(500 if word == "500" else 200, {"ok": False, "error": error} if word != "500" else "oops")
                return None

            def answer(self, status: int, data: object, headers: dict[str, str] | None = None) -> None:
                raw = (data if isinstance(data, str) else json.dumps(data)).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(raw)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/"

    def __enter__(self) -> HostileSlack:
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hostile_slack() -> type[HostileSlack]:
    """The class, to be opened with a script of misbehaviour."""
    return HostileSlack
