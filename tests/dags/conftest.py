"""Airflow in a process of its own: it is configured by its first import, and takes any pytest for its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import HANGS

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent


def _airflow_process(script: str, *, home: Path, variables: dict[str, str] | None = None) -> Any:
    """Runs a script of this folder beside a fresh Airflow home; the JSON of its last line."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "IMAGO_", "PYTEST_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "scripts" / script)],
        env={
            **kept,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "IMAGO_ENVIRONMENTS": "dev",
            **(variables or {}),
        },
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def airflow_process() -> Callable[..., Any]:
    """Runs a script of `scripts/` with an Airflow of its own: `airflow_process("x.py", home=folder, variables={})`."""
    return _airflow_process


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """What Airflow makes of the DAG folder, for the environments that it hosts: `loaded("dev,prod")`."""
    home = tmp_path_factory.mktemp("airflow")

    @cache
    def load(environments: str) -> dict[str, Any]:
        found: dict[str, Any] = _airflow_process(
            "describe_dags.py", home=home, variables={"IMAGO_ENVIRONMENTS": environments}
        )
        return found

    return load
