"""What the watchdog asks of Airflow, over REST: a task has no other sight of other DAGs' runs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Self

from imago.airflow_api import AirflowApi, DagRun
from imago.environments import Environment
from imago.errors import SettingsError
from imago.jobs.watchdog import RunFacts
from imago_airflow.connections import find_connection
from imago_airflow.run import mode_of, run_name


class RestFacts:
    """Airflow as a login with the right to read sees it.

    The login is the connection `imago_<environment>_airflow` (host, login, password), else the variables
    `IMAGO_WATCHDOG_USER` and `IMAGO_WATCHDOG_PASSWORD`. It needs to read DAGs, runs and assets, nothing more.
    """

    def __init__(self, api: AirflowApi, *, environment: str) -> None:
        self._api = api
        self._prefix = f"{environment}__"

    @classmethod
    def of(cls, environment: Environment, variables: Mapping[str, str] | None = None) -> Self:
        """The facts of the Airflow that hosts `environment`."""
        variables = os.environ if variables is None else variables
        url = variables.get("IMAGO_AIRFLOW_URL") or environment.airflow_url
        user, password = variables.get("IMAGO_WATCHDOG_USER"), variables.get("IMAGO_WATCHDOG_PASSWORD")
        if not (user and password):
            connection = find_connection(f"imago_{environment.name}_airflow")
            if connection is not None:
                url, user, password = connection.host or url, connection.login, connection.password
        if not (url and user and password):
            raise SettingsError(
                "the watchdog has no login to look at Airflow with",
                environment=environment.name,
                next_step=f"add the connection imago_{environment.name}_airflow (host, login, password of a user "
                "that may read), or set IMAGO_WATCHDOG_USER and IMAGO_WATCHDOG_PASSWORD",
            )
        return cls(AirflowApi(url, username=user, password=password), environment=environment.name)

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

    def _extras(self, run: DagRun) -> list[dict[str, Any]]:
        # Only a failed run's mode matters, and each answer is a request.
        if run.state != "failed" or run.run_type != "asset_triggered":
            return []
        events = self._api.call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/upstreamAssetEvents")
        return [event["extra"] or {} for event in events["asset_events"]]
