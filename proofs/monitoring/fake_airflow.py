"""An Airflow that answers over REST what a script says: as much of it as the watchdog asks."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeAirflow:
    """Its state is what the fields say; all answers have the shape of Airflow 3.3's own."""

    def __init__(self) -> None:
        self.unhealthy: dict[str, datetime] = {}  # part -> its last heartbeat
        self.paused: set[str] = set()
        self.runs: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._answer({"access_token": "a token"})

            def do_GET(self) -> None:
                path = urlsplit(self.path)
                self._answer(fake.answer(path.path.removeprefix("/api/v2"), parse_qs(path.query)))

            def _answer(self, data: Any) -> None:
                raw = json.dumps(data).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeAirflow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The API server is gone: nobody answers any more."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def variables(self) -> dict[str, str]:
        """What `imago watch` needs to know."""
        return {
            "IMAGO_AIRFLOW_URL": self.url,
            "IMAGO_WATCHDOG_USER": "watchdog",
            "IMAGO_WATCHDOG_PASSWORD": "secret",
        }

    def add_run(
        self, dag_id: str, run_id: str, *, state: str, ds: str | None = None, ended: datetime | None = None
    ) -> None:
        self.runs.append(
            {
                "dag_id": dag_id,
                "dag_run_id": run_id,
                "state": state,
                "run_type": "scheduled",
                "partition_key": ds,
                "conf": {},
                "start_date": None,
                "end_date": ended.isoformat() if ended else None,
            }
        )

    def add_attempts(self, dag_id: str, run_id: str, task_id: str, *, states: tuple[str, ...]) -> None:
        """A task with its tries, the last of which is the present one."""
        self.tasks.append(
            {
                "dag_id": dag_id,
                "dag_run_id": run_id,
                "task_id": task_id,
                "map_index": -1,
                "max_tries": 2,
                "try_number": len(states),
                "state": states[-1],
                "tries": states,
            }
        )

    def answer(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        """What a request is told; a page after the first is empty."""
        first = query.get("offset", ["0"]) == ["0"]
        if path == "/monitor/health":
            return {
                part: {
                    "status": "unhealthy" if part in self.unhealthy else "healthy",
                    f"latest_{part}_heartbeat": self.unhealthy[part].isoformat() if part in self.unhealthy else None,
                }
                for part in ("scheduler", "dag_processor", "triggerer")
            }
        if path == "/dags":
            return {"dags": [{"dag_id": dag} for dag in sorted(self.paused)] if first else []}
        if path.endswith("/tries"):
            (task,) = [task for task in self.tasks if f"/taskInstances/{task['task_id']}/" in path]
            states = [state if state != "up_for_retry" else "failed" for state in task["tries"]]
            return {"task_instances": [{"try_number": n + 1, "state": state} for n, state in enumerate(states)]}
        if path.endswith("/taskInstances"):
            wanted = query.get("state"), query.get("try_number", [])
            found = [t for t in self.tasks if [t["state"]] == wanted[0] or str(t["try_number"]) in wanted[1]]
            return {"task_instances": found if first else []}
        return {"dag_runs": self.runs if first else []}
