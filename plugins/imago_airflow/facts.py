"""What the watchdog asks of Airflow, over REST: a task has no other sight of other DAGs' runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, Self

from imago.airflow_api import AirflowApi, DagRun
from imago.environments import Environment
from imago.jobs.watchdog import RunFacts
from imago_airflow.logins import log_in
from imago_airflow.run import mode_of, run_name


class RestFacts:
    """Airflow as a login with the right to read sees it.

    The login (`logins.py`) needs to read DAGs, runs and assets, nothing more.
    """

    def __init__(self, api: AirflowApi, *, environment: str) -> None:
        self._api = api
        self._prefix = f"{environment}__"

    @classmethod
    def of(cls, environment: Environment) -> Self:
        """The facts of the Airflow that hosts `environment`."""
        return cls(log_in(environment, "watchdog"), environment=environment.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

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

    def _extras(self, run: DagRun) -> list[dict[str, Any]]:
        # Only a failed run's mode matters, and each answer is a request.
        if run.state != "failed" or run.run_type != "asset_triggered":
            return []
        return self._events(run)

    def _events(self, run: DagRun) -> list[dict[str, Any]]:
        events = self._api.call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/upstreamAssetEvents")
        return [event["extra"] or {} for event in events["asset_events"]]
