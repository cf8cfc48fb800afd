"""Airflow over REST: log in, trigger a run with a partition key, create a backfill, wait for either.

with AirflowApi("http://127.0.0.1:8080", username="admin", password="...") as airflow:
    run = airflow.trigger("dev__flight_delays__training", partition_key="2013-10-01")
    airflow.wait(run)
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

import httpx

from imago.errors import ImagoError, SettingsError

Reprocess = Literal["none", "failed", "completed"]
ENDED = frozenset({"success", "failed"})
_PAGE = 100


@dataclass(frozen=True, kw_only=True)
class DagRun:
    """A run as the API tells of it; `partition_key` is its day, where it has one."""

    dag_id: str
    run_id: str
    state: str
    run_type: str
    partition_key: str | None
    conf: Mapping[str, Any]
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took; None before its end."""
        return (self.ended_at - self.started_at).total_seconds() if self.started_at and self.ended_at else None

    @property
    def ended(self) -> bool:
        """Whether it will not change any more by itself."""
        return self.state in ENDED


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """A backfill that Airflow accepted; `keys` are the days that it made runs for, `known` the runs from before."""

    id: int
    dag_id: str
    keys: tuple[str, ...]
    known: frozenset[str]


class AirflowApi:
    """One Airflow, one login. Use it as a context manager, or call `close`.

    Refusals of the server become ImagoError with the server's own words; a server that does not answer is said so.
    """

    def __init__(self, url: str, *, username: str, password: str, timeout: float = 60) -> None:
        self.url = url.rstrip("/")
        self._login = {"username": username, "password": password}
        self._http = httpx.Client(base_url=self.url, timeout=timeout, trust_env=False)
        self._token = ""

    @classmethod
    def from_variables(cls, url: str | None = None, variables: Mapping[str, str] | None = None) -> Self:
        """The Airflow that `IMAGO_AIRFLOW_URL`, `IMAGO_AIRFLOW_USER` and `IMAGO_AIRFLOW_PASSWORD` name."""
        variables = os.environ if variables is None else variables
        url = variables.get("IMAGO_AIRFLOW_URL") or url
        names = ("IMAGO_AIRFLOW_USER", "IMAGO_AIRFLOW_PASSWORD")
        missing = [name for name in names if not variables.get(name)]
        if not url or missing:
            raise SettingsError(
                "it is not known how to reach Airflow: "
                + ", ".join([*([] if url else ["IMAGO_AIRFLOW_URL"]), *missing])
                + " not set",
                next_step="start the embedded stack with `imago up`, or set the named variables",
            )
        username, password = (variables[name] for name in names)
        return cls(url, username=username, password=password)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives up the connection."""
        self._http.close()

    # Runs

    def trigger(
        self,
        dag_id: str,
        *,
        partition_key: str | None = None,
        conf: Mapping[str, Any] | None = None,
        note: str | None = None,
        run_id: str | None = None,
    ) -> DagRun:
        """Starts a run by hand, for the day `partition_key`; a run without a key starts nothing behind it. With a
        `run_id` it starts once: asked again, it gives the run that is there."""
        body = {"logical_date": None, "partition_key": partition_key, "conf": dict(conf or {}), "note": note}
        if run_id is None:
            return _run(self.call("POST", f"/dags/{dag_id}/dagRuns", json=body))
        answer = self._send("POST", f"/dags/{dag_id}/dagRuns", json={**body, "dag_run_id": run_id})
        return self.run(dag_id, run_id) if answer.status_code == httpx.codes.CONFLICT else _run(_read(answer))

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """The run as it stands now."""
        return _run(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def runs(self, dag_id: str, **filters: Any) -> Iterator[DagRun]:
        """All runs of a DAG (`~`: of all DAGs), oldest first; `filters` are the API's own (`run_type`, `state`)."""
        yield from map(_run, self.pages(f"/dags/{dag_id}/dagRuns", "dag_runs", order_by="id", **filters))

    def pages(self, path: str, name: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """Everything that a listing has under `name`, page by page."""
        offset = 0
        while True:
            page = self.call("GET", path, params={**filters, "limit": _PAGE, "offset": offset})[name]
            yield from page
            if len(page) < _PAGE:
                return
            offset += _PAGE

    def seconds_of_runs(self, dag_id: str, count: int) -> list[float]:
        """How long the last `count` runs took that ended well, newest first."""
        query = {"state": "success", "limit": count, "order_by": "-id"}
        ended = map(_run, self.call("GET", f"/dags/{dag_id}/dagRuns", params=query)["dag_runs"])
        return [run.seconds for run in ended if run.seconds is not None]

    def states_of_days(self, dag_id: str, days: Collection[str]) -> dict[str, str]:
        """The state of the newest run of each of these days that has one."""
        states: dict[str, str] = {}
        for run in self.runs(dag_id):  # oldest first
            if run.partition_key in days:
                states[str(run.partition_key)] = run.state
        return states

    def wait(
        self,
        run: DagRun,
        *,
        timeout: float = 600,
        poll: float = 0.5,
        progress: Callable[[DagRun], None] | None = None,
    ) -> DagRun:
        """The run once it has ended, whichever way. Raises when it has not after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            run = self.run(run.dag_id, run.run_id)
            if progress:
                progress(run)
            if run.ended:
                return run
            if time.monotonic() > deadline:
                raise ImagoError(
                    f"{run.dag_id} has not ended after {timeout:.0f} s (it is {run.state})",
                    next_step=f"look at {self.run_url(run)}",
                )
            time.sleep(poll)

    def wait_idle(self, dag_ids: list[str], *, timeout: float = 600, poll: float = 0.5, settle: int = 8) -> None:
        """Waits until none of the DAGs has a queued or running run, seen `settle` times in a row.

        A run that an event starts appears a moment after the event, hence more than one look.
        """
        deadline = time.monotonic() + timeout
        quiet = 0
        while quiet < settle:
            busy = [dag for dag in dag_ids if self._count(dag, state=["queued", "running"])]
            quiet = 0 if busy else quiet + 1
            if time.monotonic() > deadline:
                raise ImagoError(
                    f"after {timeout:.0f} s there are still runs of {', '.join(busy) or 'none'}",
                    next_step=f"look at {self.url}/dags",
                )
            time.sleep(poll)

    def task_instances(self, run: DagRun) -> list[dict[str, Any]]:
        """The task instances of a run, as the API gives them."""
        found: list[dict[str, Any]] = self.call(
            "GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances", params={"limit": _PAGE}
        )["task_instances"]
        return found

    def unpause(self, dag_id: str) -> None:
        """Lets the DAG's runs start."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def dag_ids(self, prefix: str = "", *, paused: bool | None = None) -> list[str]:
        """The ids of the DAGs that Airflow knows and that start with `prefix`; only the (un)paused ones where asked."""
        found: list[str] = []
        filters = {} if paused is None else {"paused": paused}
        while True:
            page = self.call(
                "GET", "/dags", params={**filters, "limit": _PAGE, "offset": len(found), "order_by": "dag_id"}
            )["dags"]
            found += [dag["dag_id"] for dag in page]
            if len(page) < _PAGE:
                return [dag_id for dag_id in found if dag_id.startswith(prefix)]

    # Backfills

    def plan_backfill(
        self,
        dag_id: str,
        first: str,
        last: str,
        *,
        reprocess: Reprocess = "none",
        conf: Mapping[str, Any] | None = None,
    ) -> tuple[str, ...]:
        """The days for which a backfill would make runs, by Airflow's own dry run, which checks `conf` too."""
        body = _backfill_body(dag_id, first, last, reprocess) | {"dag_run_conf": dict(conf or {})}
        made = self.call("POST", "/backfills/dry_run", json=body)
        return tuple(item["partition_key"] for item in made["backfills"])

    def backfill(
        self,
        dag_id: str,
        first: str,
        last: str,
        *,
        reprocess: Reprocess = "none",
        max_active_runs: int = 4,
        conf: Mapping[str, Any] | None = None,
        patience: float = 90,
    ) -> Backfill:
        """Creates a backfill over the days `first` to `last`, both included.

        Airflow allows one at a time for a DAG and closes a finished one only every half minute, so a refusal for that
        reason is tried again for `patience` seconds.
        """
        body = _backfill_body(dag_id, first, last, reprocess)
        body |= {"max_active_runs": max_active_runs, "dag_run_conf": dict(conf or {})}
        known = frozenset(run.run_id for run in self.runs(dag_id, run_type="backfill"))
        deadline = time.monotonic() + patience
        while True:
            answer = self._send("POST", "/backfills", json=body)
            if answer.status_code != httpx.codes.CONFLICT or time.monotonic() > deadline:
                made = _read(answer)
                break
            time.sleep(1)
        found = Backfill(id=made["id"], dag_id=dag_id, keys=(), known=known)
        return Backfill(
            id=made["id"],
            dag_id=dag_id,
            keys=tuple(str(run.partition_key) for run in self.backfill_runs(found)),
            known=known,
        )

    def backfill_runs(self, backfill: Backfill) -> list[DagRun]:
        """The runs that the backfill made, oldest first. A day that already ran has none, unless it is reprocessed."""
        runs = self.runs(backfill.dag_id, run_type="backfill")
        return [run for run in runs if run.run_id not in backfill.known]

    def wait_backfill(
        self,
        backfill: Backfill,
        *,
        timeout: float = 3600,
        poll: float = 1.0,
        progress: Callable[[Counter[str]], None] | None = None,
    ) -> list[DagRun]:
        """The backfill's runs once all have ended. `progress` is told how many are in which state."""
        deadline = time.monotonic() + timeout
        while True:
            runs = self.backfill_runs(backfill)
            if progress:
                progress(Counter(run.state for run in runs))
            if all(run.ended for run in runs):
                return runs
            if time.monotonic() > deadline:
                left = ", ".join(str(run.partition_key) for run in runs if not run.ended)
                raise ImagoError(
                    f"the backfill of {backfill.dag_id} has not ended after {timeout:.0f} s (left: {left})",
                    next_step=f"look at {self.url}/dags/{backfill.dag_id}",
                )
            time.sleep(poll)

    # Links and the wire

    def run_url(self, run: DagRun) -> str:
        """Where a person finds the run."""
        return f"{self.url}/dags/{run.dag_id}/runs/{run.run_id}"

    def call(self, method: str, path: str, **request: Any) -> Any:
        """One request to `/api/v2`; its answer as Python values, or an ImagoError with the server's reason."""
        return _read(self._send(method, path, **request))

    def _count(self, dag_id: str, **filters: Any) -> int:
        return int(self.call("GET", f"/dags/{dag_id}/dagRuns", params={**filters, "limit": 1})["total_entries"])

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            if not self._token:
                answer = self._http.post("/auth/token", json=self._login)
                if answer.status_code in (400, 401, 403, 422):
                    raise SettingsError(
                        f"Airflow at {self.url} refuses the login of {self._login['username']!r}",
                        next_step="check IMAGO_AIRFLOW_USER and IMAGO_AIRFLOW_PASSWORD",
                    )
                self._token = _read(answer)["access_token"]
            answer = self._http.request(
                method, f"/api/v2{path}", headers={"Authorization": f"Bearer {self._token}"}, **request
            )
        except httpx.TransportError as error:
            raise ImagoError(
                f"Airflow at {self.url} does not answer ({type(error).__name__})",
                next_step="look at `imago status`; `imago up` starts the embedded stack",
            ) from error
        if answer.status_code == httpx.codes.UNAUTHORIZED and "retried" not in request.get("extensions", {}):
            self._token = ""  # it has expired
            return self._send(method, path, **{**request, "extensions": {"retried": True}})
        return answer


def _backfill_body(dag_id: str, first: str, last: str, reprocess: Reprocess) -> dict[str, Any]:
    # Airflow reads the wall clock of both bounds in the timetable's time zone: midnight means midnight there.
    return {
        "dag_id": dag_id,
        "from_date": f"{first}T00:00:00Z",
        "to_date": f"{last}T00:00:00Z",
        "reprocess_behavior": reprocess,
    }


def _read(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    try:
        reason = answer.json().get("detail", answer.text)
    except ValueError:
        reason = answer.text
    raise ImagoError(
        f"Airflow refused {answer.request.method} {answer.request.url.path}: {reason}",
        seen=answer.status_code,
        next_step="correct what the reason names; `imago doctor` checks the settings",
    )


def _run(answer: Mapping[str, Any]) -> DagRun:
    return DagRun(
        dag_id=answer["dag_id"],
        run_id=answer["dag_run_id"],
        state=answer["state"],
        run_type=answer["run_type"],
        partition_key=answer["partition_key"],
        conf=answer["conf"] or {},
        started_at=datetime.fromisoformat(answer["start_date"]) if answer["start_date"] else None,
        ended_at=datetime.fromisoformat(answer["end_date"]) if answer["end_date"] else None,
    )
