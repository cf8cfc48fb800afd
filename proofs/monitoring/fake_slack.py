"""A Slack that behaves as badly as a server can, and keeps a journal of every call."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from imago.alerts.channels import Patience

# What it answers, and how often of a hundred calls. `taken`: a person sees the message.
BEHAVIOURS = {
    "ok": 56,
    "429": 12,
    "500": 5,
    "503 page": 3,
    "200 page": 2,
    "ok: false": 6,
    "token revoked": 2,
    "reset before": 4,
    "reset after": 4,
    "hang before": 3,
    "hang after": 3,
}
TAKEN = frozenset({"ok", "reset after", "hang after"})
LOST = frozenset({"reset after", "hang after"})  # taken, and the caller cannot know
# Every kind of Retry-After: seconds, fractions, none, dates, nonsense, the absurd.
RETRY_AFTER = ("1", "2", "1.5", "0", "-3", "date", "past date", "missing", "", "soon", "nan", "inf", "999999999")


@dataclass(frozen=True)
class Call:
    """One call: when it came, for which channel, what it said and what became of it; no call may come before
    `not_before`."""

    at: float
    method: str
    channel: str
    message_id: str
    text: str
    behaviour: str
    not_before: float


class FakeSlack:
    """The handle on the server's process."""

    def __init__(self, url: str, control: Connection) -> None:
        self.url = url
        self._control = control

    def journal(self) -> list[Call]:
        """All calls so far, in the order in which they came."""
        self._control.send("journal")
        return [Call(*row) for row in self._control.recv()]


@contextmanager
def fake_slack(*, seed: int, patience: Patience, hang: float) -> Iterator[FakeSlack]:
    """A fake that ends with the block. `patience` is the client's, by which it is judged how long a call had to wait;
    `hang` is how long a call hangs."""
    context = get_context("spawn")
    control, child = context.Pipe()
    process = context.Process(target=_serve, args=(child, seed, patience, hang), daemon=True)
    process.start()
    try:
        yield FakeSlack(control.recv(), control)
    finally:
        process.kill()
        process.join()


def _serve(control: Connection, seed: int, patience: Patience, hang: float) -> None:
    dice, lock = random.Random(seed), threading.Lock()
    journal: list[tuple[Any, ...]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            at = time.time()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            method = self.path.rpartition("/")[2]
            with lock:
                behaviour = dice.choices(list(BEHAVIOURS), weights=list(BEHAVIOURS.values()))[0]
                asked = dice.choice(RETRY_AFTER)
                headers, wait = _asked(asked, at, patience) if behaviour == "429" else ({}, 0.0)
                said = body.get("metadata", {}).get("event_payload", {}).get("message_id", "")
                kind = f"429 {asked!r}" if behaviour == "429" else behaviour
                journal.append(
                    (at, method, body["channel"], said, body.get("text", ""), kind, at + max(wait, patience.pace))
                )
            if behaviour.startswith("hang"):
                time.sleep(hang)
            if behaviour.startswith(("reset", "hang")):
                self.close_connection = True
                return
            status, data = _answer(behaviour, body)
            raw = data if isinstance(data, bytes) else json.dumps(data).encode()
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)
            except OSError:
                self.close_connection = True  # the caller is dead

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            pass  # callers die here all the time

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    control.send(f"http://127.0.0.1:{server.server_port}/api/")
    while True:
        control.recv()
        with lock:
            seen = list(journal)
        control.send(seen)


def _answer(behaviour: str, body: dict[str, Any]) -> tuple[int, Any]:
    if behaviour == "ok":
        return 200, {"ok": True, "channel": body["channel"], "ts": f"{time.time():.6f}"}
    if behaviour == "429":
        return 429, {"ok": False, "error": "ratelimited"}
    if behaviour == "500":
        return 500, b"oops"
    if behaviour.endswith("page"):
        return int(behaviour[:3]), b"<html>a proxy's page</html>"
    return 200, {"ok": False, "error": "internal_error" if behaviour == "ok: false" else "token_revoked"}


def _asked(form: str, at: float, patience: Patience) -> tuple[dict[str, str], float]:
    """The header of a 429, and the seconds that a client has to wait for it, worked out here anew."""
    if form == "missing":
        return {}, patience.unknown
    if form == "date":
        return {"Retry-After": formatdate(int(at) + 3, usegmt=True)}, min(int(at) + 3 - at, patience.longest)
    if form == "past date":
        return {"Retry-After": formatdate(at - 60, usegmt=True)}, patience.pace
    waits = {"0": 0.0, "-3": 0.0, "inf": patience.longest, "999999999": patience.longest}
    try:
        seconds = waits[form] if form in waits else float(form)
    except ValueError:
        seconds = patience.unknown
    return {"Retry-After": form}, patience.unknown if seconds != seconds else min(seconds, patience.longest)
