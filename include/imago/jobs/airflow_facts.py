"""What the watchdog asks of Airflow, over REST: a task has no other sight of other DAGs' runs, and neither has
`imago watch`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Self

from imago.airflow_api import AirflowApi, DagRun
from imago.context import mode_of
from imago.environments import Environment
from imago.errors import SettingsError
from imago.jobs.airflow_seen import Attempt, Part, RunFacts
from imago.names import run_name

_TRIES = tuple(range(2, 8))  # the API filters tries by value
_PARTS = {"scheduler": "scheduler", "dag_processor": "DAG processor", "triggerer": "triggerer"}


class RestFacts:
    """Airflow as a login with the right to read sees it."""

    def __init__(self, api: AirflowApi, *, environment: str) -> None:
        self._api = api
        self._prefix = f"{environment}__"

    @classmethod
    def of(cls, environment: Environment, variables: Mapping[str, str], *, timeout: float = 60.0) -> Self:
        """The Airflow that hosts `environment`, by `IMAGO_AIRFLOW_URL` and the login of `IMAGO_WATCHDOG_USER` and
        `IMAGO_WATCHDOG_PASSWORD`. It needs to read DAGs, runs and assets, nothing more."""
        url = variables.get("IMAGO_AIRFLOW_URL") or environment.airflow_url
        user, password = variables.get("IMAGO_WATCHDOG_USER"), variables.get("IMAGO_WATCHDOG_PASSWORD")
        if not (url and user and password):
            raise SettingsError(
                "the watchdog has no login to look at Airflow with",
                environment=environment.name,
                next_step="set IMAGO_AIRFLOW_URL, IMAGO_WATCHDOG_USER and IMAGO_WATCHDOG_PASSWORD: a user that may "
                f"read; a task may have the connection imago_{environment.name}_airflow instead",
            )
        return cls(AirflowApi(url, username=user, password=password, timeout=timeout), environment=environment.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def parts(self) -> list[Part]:
        """Airflow's processes, by the heartbeats in its database."""
        said = self._api.call("GET", "/monitor/health")
        found = []
        for name, title in _PARTS.items():
            state = said.get(name) or {}
            if state.get("status") is None:
                continue  # an Airflow without this part never had one
            seen = state.get(f"latest_{name}_heartbeat")
            found.append(
                Part(
                    name=title,
                    is_well=state["status"] == "healthy",
                    seen_at=datetime.fromisoformat(seen) if seen else None,
                )
            )
        return found

    def paused_dags(self) -> Collection[str]:
        """The ids of the environment's paused DAGs."""
        return frozenset(self._api.dag_ids(self._prefix, paused=True))

    def runs_since(self, since: datetime) -> Iterator[RunFacts]:
        """The environment's runs that changed since then."""
        for run in self._api.runs("~", updated_at_gte=since.isoformat(), dag_id_prefix_pattern=self._prefix):
            yield RunFacts(
                dag_id=run.dag_id,
                run_id=run_name(run.dag_id, run.run_id),
                ds=run.partition_key or run.conf.get("ds"),
                state=run.state,
                ended_at=run.ended_at,
                mode=mode_of(run_type=run.run_type, triggering_extras=self._extras(run), asked=run.conf.get("mode")),
            )

    def models_in_backfill(self, models: Collection[str]) -> frozenset[str]:
        """Those of `models` of which a run in mode backfill waits or works at this moment."""
        found: set[str] = set()
        for run in self._api.runs("~", state=["queued", "running"], dag_id_prefix_pattern=self._prefix):
            model = run.dag_id.removeprefix(self._prefix).rpartition("__")[0]
            if model in models and model not in found:
                extras = self._events(run) if run.run_type == "asset_triggered" else []
                asked = run.conf.get("mode")
                if mode_of(run_type=run.run_type, triggering_extras=extras, asked=asked) == "backfill":
                    found.add(model)
        return frozenset(found)

    def failed_attempts_since(self, since: datetime) -> Iterator[Attempt]:
        """The attempts that failed and were, or will be, followed by another."""
        shared = {"updated_at_gte": since.isoformat(), "dag_id_prefix_pattern": self._prefix}
        seen: set[tuple[str, str, str, int]] = set()
        for filters in ({"state": "up_for_retry"}, {"try_number": _TRIES}):
            for ti in self._api.pages(
                "/dags/~/dagRuns/~/taskInstances", "task_instances", order_by="id", **shared, **filters
            ):
                place = (ti["dag_id"], ti["dag_run_id"], ti["task_id"], ti["map_index"])
                if place not in seen:
                    seen.add(place)
                    yield from self._tries(ti)

    def _tries(self, ti: Mapping[str, Any]) -> Iterator[Attempt]:
        index = f"/{ti['map_index']}" if ti["map_index"] >= 0 else ""
        path = f"/dags/{ti['dag_id']}/dagRuns/{ti['dag_run_id']}/taskInstances/{ti['task_id']}{index}/tries"
        for one in self._api.call("GET", path)["task_instances"]:
            is_last = one["try_number"] == ti["try_number"] and ti["state"] != "up_for_retry"
            if one["state"] in ("failed", "up_for_retry") and not is_last:
                yield Attempt(
                    dag_id=ti["dag_id"],
                    run_id=run_name(ti["dag_id"], ti["dag_run_id"]),
                    task_id=ti["task_id"],
                    map_index=ti["map_index"],
                    number=one["try_number"],
                    of=ti["max_tries"] + 1,
                )

    def _extras(self, run: DagRun) -> list[dict[str, Any]]:
        # Only a failed run's mode matters, and each answer is a request.
        if run.state != "failed" or run.run_type != "asset_triggered":
            return []
        return self._events(run)

    def _events(self, run: DagRun) -> list[dict[str, Any]]:
        events = self._api.call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/upstreamAssetEvents")
        return [event["extra"] for event in events["asset_events"]]
