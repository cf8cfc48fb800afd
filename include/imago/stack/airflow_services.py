"""Airflow's four processes, without `airflow standalone`: that one leaves children behind and listens everywhere."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from imago.stack.airflow_settings import fingerprint, import_commands, load, run_airflow
from imago.stack.component import Component
from imago.stack.layout import read_json, write_private
from imago.stack.ports import answers, get_json
from imago.stack.settings import StackSettings


class _Airflow(Component):
    arguments: tuple[str, ...] = ()
    health: str = ""
    # They keep nothing that is not in the database, and their own orderly stop takes 3 to 5 s.
    stop_patience = 1.0

    def command(self, settings: StackSettings) -> list[str]:
        return [sys.executable, "-m", "airflow", *self.arguments]

    def environment(self, settings: StackSettings) -> dict[str, str]:
        return airflow_environment(settings)


class AirflowApi(_Airflow):
    name = "airflow-api"
    title = "Airflow API and UI"
    needs = ("postgres",)
    ports = ("airflow-api",)
    usual_port = 8080
    arguments = ("api-server",)

    def prepare(self, settings: StackSettings) -> None:
        home = settings.layout.folder("airflow")
        secrets = settings.secrets
        passwords = {
            "admin": secrets.airflow_password,
            "watchdog": secrets.watchdog_password,
            "backfill": secrets.backfill_password,
            "trainer": secrets.trainer_password,
        }
        write_private(home / "passwords.json", json.dumps(passwords) + "\n")
        migrate_airflow(settings)

    def ready(self, settings: StackSettings) -> bool:
        return answers(settings.ports["airflow-api"], "/api/v2/version") == 200

    def url(self, settings: StackSettings) -> str:
        return settings.url("airflow-api")


class _Background(_Airflow):
    """Its health is what Airflow itself says of it: a recent heartbeat in the database."""

    def ready(self, settings: StackSettings) -> bool:
        said = get_json(settings.ports["airflow-api"], "/api/v2/monitor/health")
        return said.get(self.health, {}).get("status") == "healthy"


class AirflowScheduler(_Background):
    name = "airflow-scheduler"
    title = "Airflow scheduler"
    needs = ("airflow-api",)
    arguments = ("scheduler", "--skip-serve-logs")
    # A running task gets this long to end; Airflow starts it again after the next `up`.
    stop_patience = 4.0
    health = "scheduler"


class AirflowDagProcessor(_Background):
    name = "airflow-dag-processor"
    title = "Airflow DAG processor"
    needs = ("airflow-api",)
    arguments = ("dag-processor",)
    health = "dag_processor"


class AirflowTriggerer(_Background):
    name = "airflow-triggerer"
    title = "Airflow triggerer"
    needs = ("airflow-api",)
    arguments = ("triggerer", "--skip-serve-logs")
    health = "triggerer"


def airflow_environment(settings: StackSettings) -> dict[str, str]:
    """Airflow's variables, with the settings of the hosted environments and of no other."""
    variables = settings.hosted_variables()
    # The password of the person has no business in a task.
    for name in ("IMAGO_AIRFLOW_PASSWORD", "IMAGO_POSTGRES_URL"):
        variables.pop(name, None)
    return variables | settings.airflow_variables()


def migrate_airflow(settings: StackSettings) -> None:
    """Brings Airflow's database to this version, and applies `airflow_settings.yaml`; only where something changed."""
    settings_file = settings.layout.project / "airflow_settings.yaml"
    done_file = settings.layout.root / "airflow" / "prepared.json"
    embedded = settings.embedded_postgres
    wanted = {
        "version": importlib.metadata.version("apache-airflow-core"),
        "database": "embedded" if embedded else settings.admin_url("airflow").rpartition("@")[2],
        "settings": fingerprint(settings_file),
        "slack": settings.ports["slack"],
    }
    done = read_json(done_file)
    if done == wanted:
        return
    commands: list[list[str]] = []
    if any(done.get(key) != wanted[key] for key in ("version", "database")):
        commands.append(["db", "migrate"])
    log = settings.layout.log("airflow-prepare")
    with tempfile.TemporaryDirectory() as scratch, log.open("ab") as output:
        if settings_file.exists():
            commands += import_commands(local_settings(settings, load(settings_file)), Path(scratch))
        environment = settings.process_environment("airflow-prepare", airflow_environment(settings))
        run_airflow(commands, environment=environment, folder=settings.layout.project, output=output)
    write_private(done_file, json.dumps(wanted))


def local_settings(settings: StackSettings, wanted: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The settings, with the sandbox's real address and token in each Slack connection that points at loopback."""
    connections = {}
    for name, connection in wanted["connections"].items():
        extra = json.loads(connection.get("extra") or "{}")
        if connection.get("conn_type") == "slack" and "127.0.0.1" in extra.get("base_url", ""):
            extra["base_url"] = f"{settings.url('slack')}/api/"
            owner = next((env for env in settings.hosted if name == f"imago_{env}_slack"), settings.hosted[0])
            connection = {**connection, "password": settings.slack_token(owner), "extra": json.dumps(extra)}
        connections[name] = connection
    return {**wanted, "connections": connections}
