"""Airflow executes a DAG file again in every task: what its top imports, every task pays."""

from __future__ import annotations

from pathlib import Path


def test_parsing_a_dag_file_is_cheap_and_imports_nothing_heavy(airflow_process, tmp_path: Path):
    found = airflow_process("parse_cost.py", home=tmp_path)
    assert found["dragged_in"] == [], "import these inside the function that uses them"
    assert len(found["costs"]) >= 11
    dear = {name: round(seconds, 2) for name, seconds in found["costs"].items() if seconds >= 0.3}
    assert dear == {}, "CPU seconds beyond Airflow's own import"
