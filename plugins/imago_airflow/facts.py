"""What the watchdog and the delivery ask of Airflow, by the watchdog's login, which may read and no more."""

from __future__ import annotations

from imago.environments import Environment
from imago.jobs.airflow_facts import RestFacts
from imago_airflow.logins import log_in


def rest_facts(environment: Environment) -> RestFacts:
    """The facts of the Airflow that hosts `environment`."""
    return RestFacts(log_in(environment, "watchdog"), environment=environment.name)
