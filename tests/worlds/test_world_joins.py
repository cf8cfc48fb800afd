"""A feature joins half-way: the champion that does not know it scores on, and the next training learns it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from imago import keys, ledger
from imago.jobs import explaining
from imago.ledger import champions
from imago_testing.worlds import WORLDS, write_project
from imago_testing.worlds.building import BACKFILL, Built, hosting
from proofs.postgres import new_environment

WORLD = WORLDS["parcels"]
DAYS = WORLD.days
JOINED = 40  # the place of the first day that has the feature
FIRST_TRAINING, SCORED, SECOND_TRAINING = DAYS[36], DAYS[38:42], DAYS[60]


@pytest.fixture(scope="module")
def joined(postgres_url: str, tmp_path_factory: pytest.TempPathFactory, empty_store: Path):
    """The world before and after the feature joined, in one environment, and what monitoring said."""
    folder = tmp_path_factory.mktemp("joins")
    shutil.copy(empty_store, folder / "mlflow.db")
    env = new_environment(postgres_url, folder)
    before, after = Built(WORLD, env, WORLD.before), Built(WORLD, env, WORLD.spec)
    with hosting("imago_testing.worlds:MODELS", write_project(folder / "old" / "dbt_project", without=["traffic"])):
        before.deliver()
        before.refresh("features", DAYS[0], DAYS[JOINED - 1])
        before.refresh("outcomes", DAYS[0], DAYS[-1])
        before.train(FIRST_TRAINING)
        before.judge(FIRST_TRAINING)
        before.score(SCORED[:2], BACKFILL)
    with hosting("imago_testing.worlds:MODELS", write_project(folder / "new" / "dbt_project")):
        after.refresh("features", DAYS[JOINED], DAYS[-1])
        after.score(SCORED[2:], BACKFILL)
        told = after.monitor(SCORED, BACKFILL)
        after.train(SECOND_TRAINING)
        after.judge(SECOND_TRAINING)
    return after, told


def test_the_table_has_the_feature_from_its_day_on_and_older_days_are_null(joined):
    built, _ = joined
    earlier, later = (built.table("features").require(ds) for ds in (DAYS[JOINED - 1], DAYS[JOINED]))

    assert "traffic" not in earlier.column_names or earlier.column("traffic").null_count == earlier.num_rows
    assert later.column("traffic").null_count == 0
    raw = next(file.rows for file in WORLD.files(DAYS[JOINED]) if file.kind == "parcels").to_pylist()
    assert {row["parcel"]: row["traffic"] for row in later.to_pylist()} == {
        row["parcel"]: row["traffic"] for row in raw
    }


def test_the_champion_that_does_not_know_the_feature_scores_on_and_is_explained(joined):
    built, _ = joined
    for ds in SCORED:
        info = built.table("predictions").partition(ds)
        stored = built.table("predictions").require(ds)
        assert info.inputs["model_version"] == champion(built, ds).version
        assert stored.num_rows == built.table("features").require(ds).num_rows
        text = keys.texts(stored, built.spec.entity_keys)[0].as_py()
        told = explaining.explain(built.env, built.spec, text, ds)
        assert told["equal"], told
        assert "traffic" not in {driver["feature"] for driver in told["drivers"]}


def test_monitoring_lists_it_as_new_and_raises_nothing(joined):
    _, told = joined
    assert [one["new"] for one in told] == [["traffic"]] * len(SCORED)
    assert not any(one["alarms"] for one in told)


def test_the_next_training_learns_it_and_the_history_of_champions_goes_on(joined):
    built, _ = joined
    word, holdout = built.summaries["deployment"], built.summaries["training"]["holdout"]

    assert word["incumbent"] == f"champion v{champion(built, SCORED[0]).version}"
    assert word["outcome"] == "promoted", word["reason"]
    assert holdout["linear"] < 3.0
    built.score([DAYS[61]], BACKFILL)
    assert built.table("predictions").partition(DAYS[61]).inputs["model_version"] == word["version"]


def champion(built: Built, ds: str):
    with ledger.connect(built.env).connect() as connection:
        return champions.at(connection, built.spec.name, ds)
