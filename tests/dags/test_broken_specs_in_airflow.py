"""A broken spec is one import error of Airflow; the DAGs of every other model are there."""

from __future__ import annotations

import os
from pathlib import Path

from imago.names import STAGES

LISTING = """
from team_with_a_mistake.second import SECOND
from team_with_a_mistake.third import THIRD
from imago_models.flight_delays import FLIGHT_DELAYS

FIRST = FLIGHT_DELAYS.model_copy(update={"name": "first"})
MODELS = (FIRST, SECOND, THIRD, FLIGHT_DELAYS.model_copy(update={"name": "last"}))
"""
WRONG_VALUE = """
from imago_models.flight_delays import FLIGHT_DELAYS
from imago.specs import ModelSpec

fields = {name: getattr(FLIGHT_DELAYS, name) for name in ModelSpec.model_fields}
SECOND = ModelSpec(**{**fields, "name": "second", "primary_metric": "auc"})
"""


def _parse(airflow_process, folder: Path, files: dict[str, str]):
    package = folder / "team_with_a_mistake"
    package.mkdir()
    for name, text in files.items():
        (package / name).write_text(text, encoding="utf-8")
    path = os.pathsep.join([str(folder), *([os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else [])])
    variables = {"IMAGO_MODELS": "team_with_a_mistake:MODELS", "PYTHONPATH": path}
    return airflow_process("describe_dags.py", home=folder / "airflow", variables=variables)


def _dags(*models: str) -> set[str]:
    stages = (*STAGES, "backfill", "champion_rollback", "corrections")
    return {f"dev__{model}__{stage}" for model in models for stage in stages} | {
        f"dev__{name}" for name in ("alert_delivery", "retention", "watchdog")
    }


def test_two_broken_specs_are_one_import_error_and_the_other_models_keep_all_their_dags(airflow_process, tmp_path):
    files = {"__init__.py": LISTING, "second.py": WRONG_VALUE, "third.py": "THIRD = ModelSpec(\n"}

    found = _parse(airflow_process, tmp_path, files)

    assert set(found["dags"]) == _dags("first", "last")
    ((file, error),) = found["errors"].items()
    assert Path(file).name == "broken_specs.py"
    for words in ("second.py", "primary_metric", "'auc'", "roc_auc", "third.py", "SyntaxError", "imago doctor"):
        assert words in error


def test_a_list_of_models_that_does_not_load_is_one_import_error_too(airflow_process, tmp_path):
    found = _parse(airflow_process, tmp_path, {"__init__.py": "MODELS = (\n"})

    assert set(found["dags"]) == _dags()
    ((file, error),) = found["errors"].items()
    assert Path(file).name == "broken_specs.py"
    assert "SyntaxError" in error


def test_an_airflow_without_any_model_has_the_dags_of_the_platform_and_no_error(airflow_process, tmp_path):
    found = _parse(airflow_process, tmp_path, {"__init__.py": "MODELS = ()\n"})

    assert found["errors"] == {}
    assert set(found["dags"]) == _dags()
