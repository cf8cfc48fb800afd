"""A backfill by form through a real Airflow: the plan, a person's click, real backfill runs; and the command line."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from imago.airflow_api import DagRun
from tests.waiting import HANGS, wait_until

pytestmark = pytest.mark.stack

FIRST, LAST = "2013-05-30", "2013-05-31"


def asked(world, **form: Any) -> DagRun:
    """A run of the backfill DAG whose plan waits for a person."""
    given = {"from_day": FIRST, "to_day": LAST, "stage": "feature_refresh", "reprocess": "completed", **form}
    run = world.airflow.trigger(world.dag("backfill"), conf=given)
    wait_until(
        lambda: state_of(world, run, "approve") == "awaiting_input",
        f"the plan waits for a person: {world.airflow.run_url(run)}",
        every=0.5,
    )
    # As long as a person needs to read. Airflow fails a task that is answered in the second in which it began to wait:
    # its scheduler hears of the end of the first process when the task is queued again already.
    time.sleep(3)
    return run


def state_of(world, run: DagRun, task: str) -> str | None:
    tasks = world.airflow.call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances")
    return {one["task_id"]: one["state"] for one in tasks["task_instances"]}[task]


def said_by(world, run: DagRun, task: str) -> Any:
    where = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task}/xcomEntries/return_value"
    return world.airflow.call("GET", where, params={"deserialize": "true"})["value"]


def test_a_person_reads_the_plan_in_the_browser_and_their_click_starts_a_real_backfill(
    world, page, tmp_path: Path
) -> None:
    run = asked(world)
    page.goto(f"{world.airflow.run_url(run)}/tasks/approve/required_actions")
    page.get_by_text("2 days of flight_delays in dev from feature_refresh on").wait_for()
    page.get_by_text("No champion moves, nobody is paged").wait_for()
    assert len(page.screenshot(path=tmp_path / "approve.png", full_page=True)) > 20_000
    page.get_by_role("button", name="Run", exact=True).click()

    world.succeeded(run)
    started = said_by(world, run, "start")
    assert (started["days"], started["first"], started["last"], started["approved_by"]) == (2, FIRST, LAST, "admin")
    world.airflow.wait_idle(
        [world.dag(name) for name in ("feature_refresh", "batch_scoring", "monitoring")], timeout=HANGS
    )
    made = list(world.airflow.runs(world.dag("feature_refresh"), run_type="backfill"))[-2:]
    assert [(one.partition_key, one.state) for one in made] == [(FIRST, "success"), (LAST, "success")]
    assert {world.table(name).partition(LAST).mode for name in ("features", "predictions", "drift")} == {"backfill"}


def test_the_command_line_shows_the_same_plan_and_does_nothing(world) -> None:
    words = ("backfill", world.spec.name, "--from", FIRST, "--to", LAST, "--stage", "batch_scoring", "--plan")
    before = world.table("predictions").version()
    told = world.imago(*words, "--reprocess", "completed", "--champion", "today", "--json")
    assert told.returncode == 0, told.stderr
    plan = json.loads(told.stdout)["plan"]
    scoring = plan["stages"][0]
    # The champion of today is the one that scored them, and their features are the same: nothing would be written.
    assert (scoring["dag"], scoring["runs"], scoring["same"], scoring["rewrite"]) == (
        world.dag("batch_scoring"),
        2,
        2,
        0,
    )
    assert plan["estimate"]["seconds"] > 0
    assert world.table("predictions").version() == before
    assert "Model versions" in world.imago(*words, "--reprocess", "completed").stdout
    assert "--champion" in world.imago(*words, "--champion", "tody").stdout + world.imago("backfill", "--help").stdout


def test_a_cancelled_plan_runs_nothing(world) -> None:
    before = len(list(world.airflow.runs(world.dag("batch_scoring"))))
    run = asked(world, stage="batch_scoring", champion="today")
    where = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/approve/-1/hitlDetails"
    world.airflow.call("PATCH", where, json={"chosen_options": ["Cancel"], "params_input": {}})
    world.succeeded(run)
    assert state_of(world, run, "start") == "skipped"
    assert len(list(world.airflow.runs(world.dag("batch_scoring")))) == before
