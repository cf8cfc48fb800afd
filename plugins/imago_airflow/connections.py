"""Airflow connections as settings: the one table in which they meet.

A setting comes from its variable `IMAGO_<ENVIRONMENT>_<FIELD>`; where that is not set, from the Airflow connection
`imago_<environment>_<name>` of this table, so that a team may keep its secrets in Airflow's own secrets backend.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from imago.environments import Environment, check_apart, hosted_environments, load_environment
from imago.errors import EnvironmentMismatch

if TYPE_CHECKING:
    from airflow.sdk import Connection


def _postgres_url(connection: Connection) -> str | None:
    if not connection.host and not connection.schema:
        return None
    login = quote(connection.login or "", safe="")
    secret = f":{quote(connection.password, safe='')}" if connection.password else ""
    port = f":{connection.port}" if connection.port else ""
    host = connection.host or ""
    where = f"/{connection.schema or ''}"
    if host.startswith("/"):  # a folder: Postgres on a unix socket
        return f"postgresql+psycopg2://{login}{secret}@{where}?host={quote(host, safe='/')}"
    return f"postgresql+psycopg2://{login}{secret}@{host}{port}{where}"


def _extra(key: str) -> Callable[[Connection], str | None]:
    return lambda connection: connection.extra_dejson.get(key)


# Connection -> the fields of Environment that it gives, and where in it each is found.
_TABLE: dict[str, dict[str, Callable[[Connection], str | None]]] = {
    "storage": {
        "storage_root": _extra("root"),
        "s3_endpoint": _extra("endpoint_url"),
        "s3_access_key": lambda connection: connection.login,
        "s3_secret_key": lambda connection: connection.password,
        "s3_region": _extra("region_name"),
    },
    "ledger": {
        "ledger_url": _postgres_url,
        "ledger_schema": _extra("ledger_schema"),
    },
    "slack": {
        "slack_token": lambda connection: connection.password,
        "slack_base_url": _extra("base_url"),
        "slack_webhook": _extra("webhook"),
        "alert_channel": _extra("channel"),
        "alert_routes": _extra("routes"),
    },
    "smtp": {
        "smtp_host": lambda connection: connection.host,
        "smtp_port": lambda connection: str(connection.port) if connection.port else None,
        "smtp_user": lambda connection: connection.login,
        "smtp_password": lambda connection: connection.password,
        "smtp_from": _extra("from_email"),
        "smtp_security": _extra("security"),
    },
    "mlflow": {
        "mlflow_uri": lambda connection: connection.host,
    },
}


def environment_for(name: str) -> Environment:
    """The settings of a hosted environment, as this process may know them.

    Raises EnvironmentMismatch where the environment is not hosted here, so that a process with the settings of dev
    cannot run a task of prod.
    """
    hosted = hosted_environments()
    if name not in hosted:
        raise EnvironmentMismatch(
            f"this Airflow does not host {name}",
            environment=name,
            allowed=", ".join(hosted),
            seen=name,
            next_step="set IMAGO_ENVIRONMENTS alike in the scheduler and in the workers",
        )
    return _load(name, tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("IMAGO_"))))


@cache
def _load(name: str, variables: tuple[tuple[str, str], ...]) -> Environment:
    given = with_connections(name, dict(variables), find=find_connection)
    environment = load_environment(name, given)
    check_apart((environment, *_others(name, given)))
    # What the connections said becomes a variable of this process, so that a job which reads the settings again reads
    # the same.
    os.environ.update({key: value for key, value in given.items() if key not in os.environ})
    return environment


def _others(name: str, given: Mapping[str, str]) -> tuple[Environment, ...]:
    """The other hosted environments whose settings stand in this process's variables in full."""
    return tuple(
        load_environment(other, given)
        for other in hosted_environments(given)
        if other != name and given.get(f"IMAGO_{other.upper()}_STORAGE_ROOT")
    )


def with_connections(
    name: str, variables: Mapping[str, str], *, find: Callable[[str], Connection | None]
) -> dict[str, str]:
    """`variables`, and for each that is missing what the Airflow connections of the environment say."""
    found: dict[str, str] = {}
    for kind, fields in _TABLE.items():
        wanted = {field: read for field, read in fields.items() if not variables.get(_variable(name, field))}
        # A connection costs a request to the API server: none where its leading field is set.
        if next(iter(fields)) not in wanted or (kind == "smtp" and not _mails(name, {**variables, **found})):
            continue
        connection = find(f"imago_{name}_{kind}")
        if connection is None:
            continue
        for field, read in wanted.items():
            value = read(connection)
            if value:
                found[_variable(name, field)] = value
    return {**variables, **found}


def _mails(name: str, variables: Mapping[str, str]) -> bool:
    """Whether any alert goes to an e-mail address."""
    return any("@" in variables.get(_variable(name, field), "") for field in ("alert_channel", "alert_routes"))


def _variable(name: str, field: str) -> str:
    return f"IMAGO_{name.upper()}_{field.upper()}"


def find_connection(connection_id: str) -> Connection | None:
    """The Airflow connection, or None where there is none."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get(connection_id)
    except AirflowNotFoundException:
        return None
