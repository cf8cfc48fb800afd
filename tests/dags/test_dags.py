"""The DAGs of each environment, exactly, and what none of them may lack."""

from __future__ import annotations

import pytest

from imago.names import STAGES
from imago_models import MODELS

POOLS = {"imago_dbt", "imago_train", "imago_score", "imago_shadow", "imago_deliver", "default_pool"}
# Waits for a person, whose answer has a limit of its own; a retry would ask again.
WAITS_FOR_A_PERSON = "approve"


def expected(environment: str) -> set[str]:
    stages = (*STAGES, "backfill", "champion_rollback", "corrections")
    of_models = {f"{environment}__{spec.name}__{stage}" for spec in MODELS for stage in stages}
    return of_models | {f"{environment}__{name}" for name in ("alert_delivery", "retention", "watchdog")}


@pytest.mark.parametrize("environments", ["dev", "prod", "dev,staging,prod"])
def test_an_airflow_has_exactly_the_dags_of_the_environments_it_hosts(loaded, environments):
    found = loaded(environments)
    assert found["errors"] == {}
    assert set(found["dags"]) == set().union(*(expected(name) for name in environments.split(",")))


def test_environments_have_the_same_dags_but_for_their_names(loaded):
    dags = loaded("dev,staging,prod")["dags"]
    for dag_id, facts in dags.items():
        if dag_id.startswith("dev__"):
            twin = dags[dag_id.replace("dev__", "prod__", 1)]
            assert set(twin["tasks"]) == set(facts["tasks"])
            assert twin["timetable"] == facts["timetable"]


def test_no_dag_lacks_what_an_operator_on_call_needs(loaded):
    problems = []
    for dag_id, facts in loaded("dev")["dags"].items():
        environment = dag_id.split("__")[0]
        if not (facts["doc"] or "").startswith("# "):
            problems.append(f"{dag_id}: open {facts['file']} with a Markdown docstring and pass doc_md=__doc__")
        elif "**Safe to run again?**" not in facts["doc"] or "**When it fails.**" not in facts["doc"]:
            problems.append(
                f"{dag_id}: say in {facts['file']} if it is safe to run again, and what to do when it fails"
            )
        if not {"imago", environment} <= set(facts["tags"]):
            problems.append(f"{dag_id}: make it with stage_dag or upkeep_dag, which set its tags")
        if not facts["on_failure"]:
            problems.append(f"{dag_id}: no failure callback, so a killed task would go unnoticed")
        if facts["catchup"]:
            problems.append(f"{dag_id}: catchup would run every day of the past when it is switched on")
    assert problems == []


def test_no_task_lacks_the_shared_defaults(loaded):
    problems = []
    for dag_id, facts in loaded("dev")["dags"].items():
        for task_id, task in facts["tasks"].items():
            name = f"{dag_id}.{task_id}"
            if task["owner"] in ("airflow", ""):
                problems.append(f"{name}: no owner; make its DAG with stage_dag or upkeep_dag")
            if not task["on_failure"]:
                problems.append(f"{name}: no failure callback; its default_args were replaced")
            if task["pool"] not in POOLS:
                problems.append(f"{name}: pool {task['pool']} is not in airflow_settings.yaml, so it would never start")
            waits = task_id == WAITS_FOR_A_PERSON
            if not task["retries"] and not waits and task_id != "roll_back":
                problems.append(f"{name}: no retries; a lost worker would fail the day")
            if (task["execution_timeout"] is None) != waits:
                problems.append(f"{name}: a task needs a time-out, and one that waits for a person must not have one")
    assert problems == []


def test_each_day_stage_hands_its_day_on_by_one_asset(loaded):
    dags = loaded("dev")["dags"]
    announced = {
        uri: dag_id for dag_id, facts in dags.items() for task in facts["tasks"].values() for uri in task["outlets"]
    }
    for spec in MODELS:
        kinds = ("features", "outcomes", "training", "champion", "predictions")
        assert {f"imago://dev/{spec.name}/{kind}" for kind in kinds} <= set(announced)


def test_shadows_never_stand_before_what_counts(loaded):
    tasks = {
        (dag_id.split("__")[-1], task["pool"]): task["priority_weight"]
        for dag_id, facts in loaded("dev")["dags"].items()
        for task in facts["tasks"].values()
    }
    (shadow,) = (pool for stage, pool in tasks if stage == "shadow_scoring")
    assert [stage for stage, pool in tasks if pool == shadow] == ["shadow_scoring"], "its pool is its own"
    last = tasks.pop(("shadow_scoring", shadow))
    assert last < min(tasks.values())
