"""`airflow_settings.yaml`, the Astro CLI's file of connections, pools and variables, for every other Airflow.

Plain Airflow does not read that file. Here it becomes the JSON that `airflow connections|pools|variables import` takes.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from imago.errors import StackError

# Several commands in one process: each start of `airflow` costs seconds of imports.
_RUN_COMMANDS = """
import json, sys
from airflow.cli import cli_parser
parser = cli_parser.get_parser()
for command in json.loads(sys.argv[1]):
    arguments = parser.parse_args(command)
    arguments.func(arguments)
"""
_CONNECTION_FIELDS = ("conn_type", "host", "schema", "login", "password", "port", "extra")


def load(path: Path) -> dict[str, dict[str, Any]]:
    """The file as `{"connections": {id: {...}}, "pools": {name: {...}}, "variables": {name: value}}`.

    Raises StackError naming the entry that is not what Astro's schema asks for.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        raise StackError(f"{path} does not exist", next_step="name the file: `imago settings apply FILE`") from error
    except yaml.YAMLError as error:
        raise StackError(
            f"{path} is not valid YAML: {str(error).splitlines()[0]}", next_step="mend the file"
        ) from error
    airflow = content.get("airflow") if isinstance(content, dict) else None
    if not isinstance(airflow, dict):
        raise StackError(
            f"{path} has no section `airflow`",
            allowed="airflow: with connections, pools, variables (the Astro CLI's schema)",
            next_step="mend the file",
        )
    return {
        "connections": dict(
            _connection(entry, path) for entry in airflow.get("connections") or [] if entry.get("conn_id")
        ),
        "pools": dict(_pool(entry, path) for entry in airflow.get("pools") or [] if entry.get("pool_name")),
        "variables": {
            str(entry["variable_name"]): entry.get("variable_value")
            for entry in airflow.get("variables") or []
            if entry.get("variable_name")
        },
    }


def _connection(entry: Mapping[str, Any], path: Path) -> tuple[str, dict[str, Any]]:
    name = str(entry["conn_id"])
    if not entry.get("conn_type") and not entry.get("conn_uri"):
        raise StackError(f"{path}: connection {name} has no conn_type", next_step="give it one, as conn_type: slack")
    if entry.get("conn_uri"):
        return name, {"uri": entry["conn_uri"]}
    given = {
        field: entry.get(f"conn_{field}" if not field.startswith("conn_") else field) for field in _CONNECTION_FIELDS
    }
    if isinstance(given["extra"], dict):
        given["extra"] = json.dumps(given["extra"])
    return name, {field: value for field, value in given.items() if value not in (None, "")}


def _pool(entry: Mapping[str, Any], path: Path) -> tuple[str, dict[str, Any]]:
    name, slots = str(entry["pool_name"]), entry.get("pool_slot")
    if not isinstance(slots, int) or slots < 1:
        raise StackError(
            f"{path}: pool {name} has pool_slot {slots!r}",
            allowed="a whole number, 1 or more",
            next_step="mend the file",
        )
    return name, {"slots": slots, "description": entry.get("pool_description") or "", "include_deferred": False}


def fingerprint(path: Path) -> str:
    """Changes when the file does."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.exists() else "none"


def import_commands(settings: Mapping[str, Mapping[str, Any]], folder: Path) -> list[list[str]]:
    """Writes the import files into `folder` and returns the `airflow` commands that read them."""
    commands = []
    for kind, options in (
        ("pools", []),
        ("connections", ["--overwrite"]),
        ("variables", ["--action-on-existing-key", "overwrite"]),
    ):
        if settings[kind]:
            file = folder / f"{kind}.json"
            file.touch(mode=0o600)
            file.write_text(json.dumps(settings[kind]), encoding="utf-8")
            commands.append([kind, "import", str(file), *options])
    return commands


def run_airflow(
    commands: list[list[str]], *, environment: Mapping[str, str], folder: Path, output: IO[bytes] | None = None
) -> None:
    """Runs `airflow` commands, in order, in ONE process. Raises StackError with its last words."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN_COMMANDS, json.dumps(commands)],
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if output is not None:
        output.write(done.stdout)
    if done.returncode:
        lines = [line for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
        raise StackError(
            f"airflow refused: {lines[-1] if lines else 'no message'}",
            next_step=f"read {output.name}" if output is not None else "check this process's Airflow configuration",
        )


def apply(settings: Mapping[str, Mapping[str, Any]], *, environment: Mapping[str, str], folder: Path) -> None:
    """Puts loaded connections, pools and variables into the Airflow of `environment`, over what is there."""
    with tempfile.TemporaryDirectory() as scratch:
        commands = import_commands(settings, Path(scratch))
        if commands:
            run_airflow(commands, environment=environment, folder=folder)
