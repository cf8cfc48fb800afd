"""Airflow executes a DAG file again in every task: what its top imports, every task pays."""

from __future__ import annotations

from pathlib import Path

# Airflow's own, which it imports as soon as a task runs, and where a time zone's rules lie.
ALLOWED = {"airflow", "tzdata"}
# The names, days, specs and settings that wiring needs, and the operators; nothing of what a stage does.
MOST = 45


def test_parsing_a_dag_file_imports_wiring_and_nothing_heavy(airflow_process, tmp_path: Path):
    imports = airflow_process("parse_cost.py", home=tmp_path)
    assert len(imports) >= 11
    others = {name: sorted(set(found["others"]) - ALLOWED) for name, found in imports.items()}
    assert {name: packages for name, packages in others.items() if packages} == {}, (
        "import these inside the function that uses them"
    )
    many = {name: len(found["ours"]) for name, found in imports.items() if len(found["ours"]) > MOST}
    assert many == {}, "these import more of Imago than wiring needs"
    jobs = {name: [module for module in found["ours"] if ".jobs" in module] for name, found in imports.items()}
    assert {name: modules for name, modules in jobs.items() if modules} == {}, "jobs are imported when a task runs"
