"""What one would run instead: the dbt command line, and Astronomer Cosmos in an Airflow of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from imago.dbt.project import project_folder

_HERE = Path(__file__).resolve().parent
_PACKAGES = ("astronomer-cosmos>=1.15", "apache-airflow~=3.3.2", "dbt-core>=1.11,<1.12", "dbt-duckdb", "duckdb==1.5.5")
_QUIET = {"DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}


def command_line(model: str, variables: dict[str, Any], folder: Path) -> None:
    """`dbt build` of the model with its parents and their data tests, in a copy of the project that keeps its
    `target/`, as a user's does."""
    project = folder / "command-line"
    if not project.exists():
        _copy_of_project(project, database=":memory:")
    _run(
        [
            str(Path(sys.executable).parent / "dbt"),
            *(
                "build",
                "--select",
                f"+{model}",
                "--exclude-resource-type",
                "unit_test",
                "--vars",
                json.dumps(variables),
            ),
            *("--project-dir", str(project), "--profiles-dir", str(project)),
        ],
        {**_clean_environment(), **_QUIET},
    )


class Cosmos:
    """A virtual environment with Cosmos below `.imago/bench/` (kept for the next time), and an Airflow in `folder`.

    `missing` says why it could not be installed; it is empty when all is there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cosmos"
        home = project_folder().parent / ".imago" / "bench" / "cosmos"
        self.bin = home / "bin"
        self.missing = self._install(home)
        if not self.missing:
            (self.folder / "dags").mkdir(parents=True)
            shutil.copy(_HERE / "cosmos_day.py", self.folder / "dags")
            _run([str(self.bin / "airflow"), "db", "migrate"], self._environment())

    def _install(self, home: Path) -> str:
        if (home / ".installed").is_file():
            return ""
        print("Installing Cosmos with an Airflow of its own ...", flush=True)
        try:
            venv.create(home, with_pip=True, clear=True)
            uv = Path(sys.executable).parent / "uv"
            _run([str(uv), "pip", "install", "--quiet", "--python", str(self.bin / "python"), *_PACKAGES], None)
        except (OSError, subprocess.CalledProcessError, SystemExit) as error:
            return str(error)
        (home / ".installed").touch()
        return ""

    def run(self, model: str, variables: dict[str, Any]) -> float:
        """The seconds of one DAG run in one process, without the start of Airflow and the parse of the DAG."""
        project = self.folder / "project"
        shutil.rmtree(project, ignore_errors=True)
        # Each task is a dbt of its own, so the database has to be a file, and only one of them may run at a time.
        _copy_of_project(project, database=f"{project}/day.duckdb")
        given = json.dumps({"project": str(project), "model": model, "vars": variables})
        done = _run(
            [str(self.bin / "python"), str(self.folder / "dags" / "cosmos_day.py")],
            {**self._environment(), "BENCH_COSMOS": given},
        )
        told = next(line for line in done.splitlines() if line.startswith("BENCH "))
        result = json.loads(told.removeprefix("BENCH "))
        if result["state"] != "success":
            raise SystemExit(f"the run of Cosmos ended in {result['state']}")
        return float(result["seconds"])

    def _environment(self) -> dict[str, str]:
        return {
            **_clean_environment(),
            **_QUIET,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        }


def _copy_of_project(project: Path, *, database: str) -> None:
    ignored = shutil.ignore_patterns("target", "logs", "dbt_packages")
    shutil.copytree(project_folder(), project, ignore=ignored)
    (project / "staging").mkdir()
    output = {"type": "duckdb", "path": database, "schema": "main", "threads": 2, "external_root": f"{project}/staging"}
    profile = {"imago": {"target": "dev", "outputs": {"dev": output}}}
    (project / "profiles.yml").write_text(json.dumps(profile))


def _clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "IMAGO_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


def _run(command: list[str], environment: dict[str, str] | None) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        tail = (done.stderr or done.stdout).strip()[-800:]
        raise SystemExit(f"{Path(command[0]).name} failed: {tail}")
    return done.stdout
