"""The watchdog's sight of Airflow, with the login that Airflow's own connections may hold."""

from __future__ import annotations

import os

from imago.environments import Environment
from imago.jobs.airflow_facts import RestFacts
from imago_airflow.connections import find_connection


def rest_facts(environment: Environment) -> RestFacts:
    """The facts of the Airflow that hosts `environment`: by the variables, else by the connection
    `imago_<environment>_airflow` (host, login, password)."""
    variables = dict(os.environ)
    if not (variables.get("IMAGO_WATCHDOG_USER") and variables.get("IMAGO_WATCHDOG_PASSWORD")):
        connection = find_connection(f"imago_{environment.name}_airflow")
        if connection is not None:
            given = {
                "IMAGO_AIRFLOW_URL": connection.host,
                "IMAGO_WATCHDOG_USER": connection.login,
                "IMAGO_WATCHDOG_PASSWORD": connection.password,
            }
            variables |= {name: value for name, value in given.items() if value}
    return RestFacts.of(environment, variables)
