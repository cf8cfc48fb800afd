"""A real MLflow follows the ledger, and what was done there by hand is found, mended and told once."""

from __future__ import annotations

import pyarrow as pa
import pytest
from registered_world import LIVE, ROWS, SPEC
from sqlalchemy import select

from imago.errors import ImagoError, ModelRefused
from imago.jobs import champions as jobs
from imago.jobs import projection
from imago.ledger import connect
from imago.ledger.schema import alerts, incidents
from imago.registry import load_model
from imago.storage import Storage
from imago.tables import Table


def follow(world):
    return projection.follow(world.env, SPEC, LIVE)


def told(world):
    query = select(alerts.c.rule, alerts.c.subject, alerts.c.severity, alerts.c.body["kind"].astext)
    with connect(world.env).connect() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(alerts.c.id))]


def still_open(world):
    query = select(incidents.c.rule, incidents.c.subject).where(incidents.c.status == "open")
    with connect(world.env).connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_aliases_and_stages_say_what_the_ledger_says_also_when_they_lag_behind(world):
    first = world.promote(1)
    assert follow(world)["champion"] == first.version == "1"
    assert (world.aliases(), world.stages()) == ({"champion": "1", "challenger": "1"}, {"1": "butterfly"})
    world.promote(2)
    waiting = world.version(3)
    world.version(4)
    world.decide(waiting, "kept")
    assert follow(world)["moved_by_hand"] == {}
    assert world.aliases() == {"champion": "2", "challenger": "3"}
    assert world.stages() == {"1": "chrysalis", "2": "butterfly", "3": "chrysalis", "4": "larva"}
    assert world.stages_of_runs() == world.stages()
    assert told(world) == []


def test_a_stage_that_was_set_by_hand_is_put_back(world):
    for slope in (1, 2, 3, 4):
        world.promote(slope)
        follow(world)
    world.version(5)
    world.version(6)
    right = {"1": "chrysalis", "2": "chrysalis", "3": "chrysalis", "4": "butterfly", "5": "larva", "6": "larva"}
    assert world.stages() == right
    # 1 reigned and is protected no longer (2 promotions are), 3 is protected, 4 reigns, 5 never left its egg.
    for version, stage in {"1": "butterfly", "3": "larva", "4": "larva", "5": "butterfly"}.items():
        world.say(version, stage)
    follow(world)
    assert world.stages() == right


def test_a_stage_follows_although_the_run_of_the_version_was_deleted(world):
    champion = world.promote(1)
    world.client.delete_run(champion.run_id)
    follow(world)
    assert world.stages() == {"1": "butterfly"}


@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_an_alias_that_was_moved_by_hand_is_put_back_and_told_once(world, alias):
    world.promote(1)
    world.promote(2)
    follow(world)
    world.point(alias, "1")
    assert list(follow(world)["moved_by_hand"]) == [alias]
    assert world.aliases() == {"champion": "2", "challenger": "2"}
    assert told(world) == [("champion_alias_moved", alias, "critical", "opened")]
    follow(world)
    follow(world)
    assert [kind for *_, kind in told(world)] == ["opened", "resolved"]
    assert still_open(world) == []


def test_an_alias_that_was_taken_away_or_set_before_anybody_reigned_is_told_too(world):
    world.version(1)
    world.point("champion", "1")
    follow(world)
    assert world.aliases() == {}
    assert still_open(world) == [("champion_alias_moved", "champion")]
    world.promote(2)
    follow(world)
    assert still_open(world) == []
    world.client.delete_registered_model_alias(world.tracker.registered_name, "champion")
    follow(world)
    assert world.aliases()["champion"] == "2"
    assert still_open(world) == [("champion_alias_moved", "champion")]


def test_a_champion_whose_version_was_deleted_scores_on_and_is_told_once(world):
    champion = world.promote(1)
    world.promote(2)
    world.promote(3)
    follow(world)
    world.delete("3")
    for _ in range(3):
        follow(world)
    assert told(world) == [("champion_version_deleted", "version 3", "warning", "opened")]
    assert world.aliases() == {}
    reigning = jobs.show(world.env, "toy")
    assert reigning["version"] == "3"
    assert load_model(world.env, reigning).predict(ROWS).shape == (4,)
    world.delete(champion.version)  # protected no longer: 2 and 3 are
    follow(world)
    assert len(told(world)) == 1


def test_a_champion_whose_files_were_deleted_is_critical_and_scoring_says_what_to_do(world):
    world.promote(1)
    champion = world.promote(2)
    storage = Storage(world.env)
    storage.delete(storage.relative(champion.artifact_uri))
    assert "model.skops" in follow(world)["lost"]["2"]
    assert told(world) == [("champion_version_deleted", "version 2", "critical", "opened")]
    with pytest.raises(ModelRefused, match=r"missing.*roll back"):
        load_model(world.env, champion)
    jobs.rollback(world.env, SPEC, LIVE, reason="its files are gone")
    assert world.aliases()["champion"] == "1"


def test_a_number_that_mlflow_gives_again_is_not_taken_for_the_lost_version(world):
    world.promote(1)
    follow(world)
    world.client.delete_registered_model(world.tracker.registered_name)
    assert world.version(9)["version"] == "1"
    assert follow(world)["lost"] == {"1": "in MLflow"}
    assert world.aliases() == {}


def test_a_deleted_registered_model_is_told_for_each_protected_version(world):
    world.promote(1)
    world.promote(2)
    follow(world)
    world.client.delete_registered_model(world.tracker.registered_name)
    follow(world)
    assert sorted(subject for _, subject, *_ in told(world)) == ["version 1", "version 2"]


def test_a_rollback_works_to_a_protected_version_that_mlflow_lost(world):
    world.promote(1)
    world.promote(2)
    world.delete("1")
    back = jobs.rollback(world.env, SPEC, LIVE, reason="2 is too quiet")
    assert (back["version"], back["decided_by"], back["reason"]) == ("1", "ada", "2 is too quiet")
    assert "champion" not in world.aliases()


def test_a_rollback_moves_the_champion_also_while_mlflow_is_down(world):
    world.promote(1)
    world.promote(2)
    down = world.env.model_copy(update={"mlflow_uri": "http://127.0.0.1:9"})
    back = jobs.rollback(down, SPEC, LIVE, reason="2 is too quiet")
    assert (back["version"], back["mlflow"]) == ("1", "not yet")
    assert follow(world)["moved_by_hand"] == {}
    assert world.aliases()["champion"] == "1"


def scored(world, version):
    """Stores the predictions of a day, made with this version."""
    table = Table(world.env, SPEC.name, "predictions")
    rows = pa.table({"key": ["a"], "ds": ["2013-10-02"], "score": [float(version)]})
    inputs = {"model_version": version}
    table.publish(
        rows, days=["2013-10-02"], key=("key",), fence=table.draw_fence(), context=LIVE, inputs=inputs
    )  # fmt: skip


def test_a_protected_version_and_a_challenger_are_not_forgotten_and_another_is_once_no_prediction_needs_it(world):
    world.promote(1)
    world.promote(2)
    world.promote(3)
    world.decide(world.version(4), "kept")
    for version in ("2", "3", "4"):
        with pytest.raises(ImagoError, match="protected"):
            projection.forget(world.env, SPEC, version)
    scored(world, "1")
    with pytest.raises(ImagoError, match="made the stored predictions of 1 days"):
        projection.forget(world.env, SPEC, "1")
    scored(world, "2")
    gone = projection.forget(world.env, SPEC, "1")
    assert not Storage(world.env).exists(gone["deleted"])
    assert set(world.stages()) == {"2", "3", "4"}
    with pytest.raises(ImagoError, match="MLflow has no version 1"):
        projection.forget(world.env, SPEC, "1")
