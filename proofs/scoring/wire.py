"""A wire between a task and the S3 server that counts requests, and kills the task at one of them.

It stands between the two as a server of its own on loopback, so it sees the requests of every client in the task: that
of pyarrow, and the one that Delta brings along. A request is passed on as it came, `Host` included, since the client
signed it; nothing but the request's number is looked at.
"""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from proofs.scoring.requests import Kill


@dataclass
class Wire:
    """`arm` before a task starts, `aim` at it once it has a process; `seen` counts its requests."""

    url: str = ""
    seen: int = 0
    names: list[str] = field(default_factory=list)
    _kill: Kill | None = None
    _victim: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, kill: Kill | None) -> None:
        """The next task dies as `kill` says, or not at all."""
        self.seen, self.names, self._kill, self._victim = 0, [], kill, None

    def aim(self, pid: int) -> None:
        """The process of that task."""
        self._victim = pid

    def number(self, name: str) -> int:
        """The number of a request that has come, counted from 1."""
        with self._lock:
            self.seen += 1
            self.names.append(name)
            return self.seen

    def strikes(self, number: int, when: str) -> bool:
        """Kills the task here, if it is the place; whether it did."""
        if self._kill is None or (self._kill.number, self._kill.when) != (number, when) or self._victim is None:
            return False
        os.kill(self._victim, signal.SIGKILL)
        return True


@contextmanager
def wire(endpoint: str) -> Iterator[Wire]:
    """A wire to the server at `endpoint`, cut at the end of the block."""
    found = Wire()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(found, urlsplit(endpoint).netloc))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _handler(wire: Wire, server: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:  # the task is dead
                self.close_connection = True

        def pass_on(self) -> None:
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
            body = self.chunks() if chunked else self.rfile.read(int(self.headers.get("Content-Length") or 0))
            number = wire.number(f"{self.command} {self.path.partition('?')[0]}")
            if wire.strikes(number, "before"):
                self.close_connection = True
                return
            status, reason, headers, data = self.asked(body)
            if wire.strikes(number, "after"):
                self.close_connection = True
                return
            self.send_response_only(status, reason)
            for name, value in headers:
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = dict(headers).get("Content-Length") if self.command == "HEAD" else str(len(data))
            if length is not None and status != http.client.NO_CONTENT:
                self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(data)

        def chunks(self) -> bytes:
            """A body that comes in chunks, as it came: sizes, data and trailers."""
            read = []
            while True:
                read.append(self.rfile.readline())
                size = int(read[-1].partition(b";")[0], 16)
                if not size:
                    break
                read.append(self.rfile.read(size + 2))
            while read[-1] != b"\r\n":
                read.append(self.rfile.readline())
            return b"".join(read)

        def asked(self, body: bytes) -> tuple[int, str, list[tuple[str, str]], bytes]:
            """The server's whole answer."""
            connection = http.client.HTTPConnection(server, timeout=60)
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders(body or None)
                answer = connection.getresponse()
                return answer.status, answer.reason, answer.getheaders(), answer.read()
            finally:
                connection.close()

        def log_message(self, *_: Any) -> None:
            pass

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = pass_on  # noqa: N815 - the names that the base class calls

    return Handler
