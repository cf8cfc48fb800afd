"""How a task reaches Airflow's own REST API: by a login of its own, which may do what that task does and no more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from imago.airflow_api import AirflowApi
from imago.environments import Environment
from imago.errors import SettingsError
from imago_airflow.connections import find_connection

# Who asks: the connection that holds its login, and what that login has to be allowed.
_LOGINS = {
    "watchdog": ("imago_{environment}_airflow", "may read"),
    "backfill": ("imago_{environment}_airflow_backfill", "may run backfills"),
    "trainer": ("imago_{environment}_trainer", "may trigger runs"),
}


def log_in(
    environment: Environment,
    who: Literal["watchdog", "backfill", "trainer"],
    variables: Mapping[str, str] | None = None,
) -> AirflowApi:
    """The Airflow that hosts `environment`, as `who` sees it.

    The login is `IMAGO_<WHO>_USER` and `IMAGO_<WHO>_PASSWORD`, else the connection of the table above (host, login,
    password). Raises SettingsError when there is neither.
    """
    variables = os.environ if variables is None else variables
    name, right = _LOGINS[who]
    name = name.format(environment=environment.name)
    keys = (f"IMAGO_{who.upper()}_USER", f"IMAGO_{who.upper()}_PASSWORD")
    url = variables.get("IMAGO_AIRFLOW_URL") or environment.airflow_url
    user, password = (variables.get(key) for key in keys)
    if not (user and password):
        connection = find_connection(name)
        if connection is not None:
            url, user, password = connection.host or url, connection.login, connection.password
    if not (url and user and password):
        raise SettingsError(
            f"the {who} has no login to Airflow",
            environment=environment.name,
            next_step=f"add the connection {name} (host, login, password of a user that {right}), or set "
            + " and ".join(keys),
        )
    return AirflowApi(url, username=user, password=password)
