"""Backfills through a real Airflow: alone, in any order, any number of times, with the same rows."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import func, select

from imago import ledger
from imago.days import days_between
from imago.ledger import champions, decisions
from imago.ledger.schema import alerts
from tests.waiting import HANGS

pytestmark = pytest.mark.stack

DAYS = days_between("2013-05-29", "2013-06-02")
BEHIND_FEATURES = ("batch_scoring", "monitoring")
BEHIND_OUTCOMES = ("metric_refresh",)


def finished(world, stage: str, reprocess: str, *behind: str) -> Counter:
    """Backfills a stage and waits for all that it starts; how many runs of each stage it made."""
    before = {name: {run.run_id for run in world.airflow.runs(world.dag(name))} for name in (stage, *behind)}
    backfill = world.airflow.backfill(world.dag(stage), DAYS[0], DAYS[-1], reprocess=reprocess)
    runs = world.airflow.wait_backfill(backfill, timeout=HANGS)
    if backfill.keys:
        world.airflow.wait_idle([world.dag(name) for name in behind], timeout=HANGS)
    assert [run.state for run in runs] == ["success"] * len(runs)
    made: Counter = Counter()
    for name, known in before.items():
        new = [run for run in world.airflow.runs(world.dag(name)) if run.run_id not in known]
        assert {run.state for run in new} <= {"success"}
        made[name] = len(new)
    return made


def alerts_by_mode(world) -> dict[str, int]:
    query = select(alerts.c.mode, func.count()).group_by(alerts.c.mode)
    with ledger.connect(world.environment).connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def champion_rows(world) -> int:
    with ledger.connect(world.environment).connect() as connection:
        return len(champions.history(connection, world.spec.name))


def champion_of(world) -> champions.Champion:
    with ledger.connect(world.environment).connect() as connection:
        champion = champions.reigning(connection, world.spec.name)
    assert champion is not None
    return champion


def test_training_through_airflow_gives_a_sane_champion(world) -> None:
    assert champion_of(world).effective_ds == DAYS[0]
    with ledger.connect(world.environment).connect() as connection:
        decision = decisions.of_training(connection, world.spec.name, champion_of(world).training_ds)
    scores = {ruling["name"]: ruling["score"] for ruling in decision["verdict"]["rulings"]}
    assert 0.65 < scores[decision["verdict"]["challenger"]] < 0.80
    assert {ruling["role"] for ruling in decision["verdict"]["rulings"]} == {"candidate", "baseline"}


def test_a_backfill_cascades_once_per_day_and_a_second_one_of_all_runs_changes_nothing(world) -> None:
    paged, crowned = alerts_by_mode(world).get("live", 0), champion_rows(world)

    first = finished(world, "feature_refresh", "none", *BEHIND_FEATURES)
    assert first == {"feature_refresh": 5, "batch_scoring": 5, "monitoring": 5}
    tables = ("features", "predictions", "profiles", "drift")
    digests = {name: world.digests(name, DAYS) for name in tables}
    versions = {name: world.table(name).version() for name in tables}
    rows = world.table("predictions").read(DAYS).num_rows
    assert rows == world.table("features").read(DAYS).num_rows > 4000

    again = finished(world, "feature_refresh", "completed", *BEHIND_FEATURES)
    assert again == {"feature_refresh": 5, "batch_scoring": 5, "monitoring": 5}
    assert {name: world.digests(name, DAYS) for name in tables} == digests
    assert {name: world.table(name).version() for name in tables} == versions
    assert world.table("predictions").read(DAYS).num_rows == rows

    assert all(world.table("predictions").partition(ds).mode == "backfill" for ds in DAYS)
    assert alerts_by_mode(world).get("live", 0) == paged
    assert champion_rows(world) == crowned


def test_outcomes_and_metrics_cascade_in_the_same_way(world) -> None:
    assert finished(world, "outcome_refresh", "none", *BEHIND_OUTCOMES) == {"outcome_refresh": 5, "metric_refresh": 5}
    digests = world.digests("metrics", DAYS)
    assert finished(world, "outcome_refresh", "completed", *BEHIND_OUTCOMES) == {
        "outcome_refresh": 5,
        "metric_refresh": 5,
    }
    assert world.digests("metrics", DAYS) == digests


def test_each_stage_behind_an_asset_can_be_backfilled_alone_with_every_choice(world) -> None:
    stages = {"batch_scoring": "predictions", "monitoring": "drift", "metric_refresh": "metrics"}
    digests = {table: world.digests(table, DAYS) for table in stages.values()}
    versions = {table: world.table(table).version() for table in stages.values()}
    # Their days have run already, by their events: nothing is due, nothing failed, and all runs are made again.
    for reprocess, wanted in (("none", 0), ("failed", 0), ("completed", 5)):
        # Side by side, since Airflow closes a finished backfill only every half minute.
        started = {
            stage: world.airflow.backfill(world.dag(stage), DAYS[0], DAYS[-1], reprocess=reprocess) for stage in stages
        }
        for stage, backfill in started.items():
            runs = world.airflow.wait_backfill(backfill, timeout=HANGS)
            assert [run.state for run in runs] == ["success"] * wanted, (stage, reprocess)
    world.airflow.wait_idle([world.dag(stage) for stage in stages], timeout=HANGS)
    assert {table: world.digests(table, DAYS) for table in stages.values()} == digests
    assert {table: world.table(table).version() for table in stages.values()} == versions


def test_backfills_of_several_stages_at_once_give_the_same_rows(world) -> None:
    tables = ("features", "predictions", "drift", "metrics")
    digests = {name: world.digests(name, DAYS) for name in tables}
    stages = ("feature_refresh", "batch_scoring", "monitoring", "outcome_refresh", "metric_refresh")
    started = [world.airflow.backfill(world.dag(stage), DAYS[0], DAYS[-1], reprocess="completed") for stage in stages]
    for backfill in started:
        assert {run.state for run in world.airflow.wait_backfill(backfill, timeout=HANGS)} == {"success"}
    world.airflow.wait_idle([world.dag(stage) for stage in stages], timeout=HANGS)
    assert {name: world.digests(name, DAYS) for name in tables} == digests


def test_a_backfill_of_the_deployment_moves_nothing_and_pages_nobody(world) -> None:
    paged, crowned = alerts_by_mode(world).get("live", 0), champion_rows(world)
    trained = champion_of(world).training_ds
    backfill = world.airflow.backfill(world.dag("deployment"), trained, trained, reprocess="completed")
    runs = world.airflow.wait_backfill(backfill, timeout=HANGS)
    assert [run.state for run in runs] == ["success"] * len(runs)
    world.airflow.wait_idle([world.dag("endpoint_deploy")], timeout=HANGS)
    assert champion_rows(world) == crowned
    assert alerts_by_mode(world).get("live", 0) == paged
