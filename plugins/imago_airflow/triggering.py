"""Starting a run of another DAG with a partition key, over REST.

`TriggerDagRunOperator` of Airflow 3.3 cannot: neither it nor the task's supervisor passes a partition key on, and a run
without one starts nothing behind it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Self

from imago.airflow_api import AirflowApi
from imago.environments import Environment
from imago.errors import SettingsError
from imago_airflow.connections import find_connection


class Trainings:
    """Airflow as a login that may trigger runs sees it.

    The login is the connection `imago_<environment>_trainer` (host, login, password), else the variables
    `IMAGO_TRAINER_USER` and `IMAGO_TRAINER_PASSWORD`.
    """

    def __init__(self, api: AirflowApi) -> None:
        self._api = api

    @classmethod
    def of(cls, environment: Environment, variables: Mapping[str, str] | None = None) -> Self:
        """The Airflow that hosts `environment`."""
        variables = os.environ if variables is None else variables
        url = variables.get("IMAGO_AIRFLOW_URL") or environment.airflow_url
        user, password = variables.get("IMAGO_TRAINER_USER"), variables.get("IMAGO_TRAINER_PASSWORD")
        if not (user and password):
            connection = find_connection(f"imago_{environment.name}_trainer")
            if connection is not None:
                url, user, password = connection.host or url, connection.login, connection.password
        if not (url and user and password):
            raise SettingsError(
                "drift may start a training and has no login to do so",
                environment=environment.name,
                next_step=f"add the connection imago_{environment.name}_trainer (host, login, password of a user that "
                "may trigger runs), or set IMAGO_TRAINER_USER and IMAGO_TRAINER_PASSWORD",
            )
        return cls(AirflowApi(url, username=user, password=password))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def start(self, dag: str, *, partition_key: str, run_id: str, note: str) -> str:
        """Starts the run, or finds it; its address."""
        run = self._api.trigger(dag, partition_key=partition_key, run_id=run_id, note=note)
        return self._api.run_url(run)
