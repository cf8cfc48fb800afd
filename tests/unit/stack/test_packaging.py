"""The files from which images are built agree with the package."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_requirements_txt_lists_the_dependencies_of_the_package_and_leaves_airflow_to_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {entry for entry in project["dependencies"] if not re.match(r"apache-airflow[~=<>]", entry)}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == wanted, "copy pyproject's list anew"


def test_the_image_runs_the_locked_airflow_and_not_as_root() -> None:
    locked = re.search(r"^apache-airflow==(\S+)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    assert locked is not None
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"FROM apache/airflow:slim-{locked[1]}-python3.12" in dockerfile
    assert re.findall(r"^USER (\S+)", dockerfile, flags=re.MULTILINE) == ["airflow"]
