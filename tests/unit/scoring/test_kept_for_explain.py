"""What retention owes to whoever asks years later: stored predictions and trainings can be made again after it."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest
import typer
from champion_world import CONTRACT, DAYS, FIRST, LIVE, TRAINED, publish, world_rows
from typer.testing import CliRunner

import imago_models
from imago.cli import tables as verbs
from imago.errors import MissingPartition
from imago.jobs import explaining, retention, scoring
from imago.storage import Storage
from imago.tables import Table
from imago.tables.infos import PartitionInfo
from imago.training import snapshot

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=400)  # every version is older than keep_versions_days
KEY = f"{FIRST}-007"


def correct(env, shift: float) -> int:
    """Other features for the first scored day; the table's version with them."""
    rows, _ = world_rows([FIRST], shift=shift)
    return publish(env, "features", rows, [FIRST]).version


def readable(env, version: int) -> bool:
    try:
        return Table(env, "toy", "features").read([FIRST], version=version).num_rows > 0
    except MissingPartition:
        return False


@pytest.fixture
def corrected(reign, toy):
    """The day was scored from the second version of its features and corrected twice since, and not scored again. The
    first is that of the champion's training. Versions by number."""
    first = Table(reign, "toy", "features").partition(FIRST).version
    second = correct(reign, 1.0)
    scoring.score(reign, toy, FIRST, LIVE)
    return {1: first, 2: second, 3: correct(reign, 2.0), 4: correct(reign, 3.0)}


def test_a_stored_prediction_is_rebuilt_after_a_vacuum_of_everything_older(reign, toy, corrected):
    done = retention.clean(reign, [toy], LATER)

    assert explaining.explain(reign, toy, KEY, FIRST)["equal"] is True
    assert {number: readable(reign, version) for number, version in corrected.items()} == {
        1: True,  # the champion's training
        2: True,  # what the prediction was made from
        3: False,
        4: True,  # the newest
    }
    assert done["vacuumed_files"] == {"toy/features": 1}
    assert done["freed_bytes"] > 0
    assert done["kept_versions"]["toy/features"] == {
        f"predictions {FIRST}": [corrected[2]],
        f"training {TRAINED}": [corrected[1]],
    }


def test_the_features_go_when_the_day_was_scored_again_from_newer_ones(reign, toy, corrected):
    scoring.score(reign, toy, FIRST, dataclasses.replace(LIVE, run_id="again"))
    retention.clean(reign, [toy], LATER)
    assert [readable(reign, corrected[number]) for number in (2, 3, 4)] == [False, False, True]
    assert explaining.explain(reign, toy, KEY, FIRST)["equal"] is True


def test_a_score_from_other_features_with_equal_rows_still_rebuilds(reign, toy, corrected):
    # The rows of the newest features, published under the version after a detour: the prediction stays as it was.
    same = correct(reign, 1.0)
    again = scoring.score(reign, toy, FIRST, dataclasses.replace(LIVE, run_id="again"))
    assert again["changed"] is False
    correct(reign, 5.0)
    retention.clean(reign, [toy], LATER)
    assert explaining.explain(reign, toy, KEY, FIRST)["equal"] is True
    assert readable(reign, corrected[2])
    assert not readable(reign, same)


def test_the_promise_lasts_as_long_as_the_setting_says(reign, toy, corrected):
    brief = reign.model_copy(update={"keep_inputs_days": 399})
    retention.clean(brief, [toy], LATER)
    assert not readable(reign, corrected[2])
    with pytest.raises(MissingPartition, match=rf"\(version {corrected[2]}\) were vacuumed"):
        explaining.explain(reign, toy, KEY, FIRST)


def test_a_champions_training_is_made_again_from_its_pinned_versions(reign, toy, corrected):
    storage = Storage(reign)
    folder = next(name.removesuffix("/manifest.json") for name in storage.list("snapshots") if "manifest" in name)
    frozen = snapshot.load(reign, folder)
    rows, _ = world_rows(DAYS, seed=99)
    publish(reign, "features", rows, DAYS)  # no file of the training's version is live any more

    retention.clean(reign, [toy], LATER)

    again, _ = snapshot.rows_of(reign, toy, TRAINED, frozen.manifest["versions"])
    assert again.equals(frozen.rows)


def test_every_version_stays_for_the_days_that_the_setting_says(reign, toy, corrected):
    retention.clean(reign, [toy], NOW + timedelta(days=reign.keep_versions_days - 1))
    assert all(readable(reign, version) for version in corrected.values())
    retention.clean(reign, [toy], NOW + timedelta(days=reign.keep_versions_days + 1))
    assert not readable(reign, corrected[3])


def test_a_dry_run_tells_exactly_what_then_goes_and_touches_nothing(reign, toy, corrected):
    snapshot.freeze(reign, toy, "2013-02-17", contract=CONTRACT, run_id="nobody")
    before = Storage(reign).list("")
    told = retention.clean(reign, [toy], LATER, dry_run=True)
    assert Storage(reign).list("") == before
    assert retention.clean(reign, [toy], LATER, dry_run=True) == told
    assert told["released_trainings"] == {"toy": ["2013-02-17"]}

    assert retention.clean(reign, [toy], LATER) == told
    gone = set(before) - set(Storage(reign).list(""))
    assert len(gone) == sum(told["vacuumed_files"].values()) == 1


def test_what_a_training_held_goes_the_night_after_it_was_let_go(reign, toy, corrected):
    snapshot.freeze(reign, toy, "2013-02-17", contract=CONTRACT, run_id="nobody")  # pins the fourth version
    correct(reign, 4.0)
    assert retention.clean(reign, [toy], LATER)["vacuumed_files"] == {"toy/features": 1}  # the third
    assert readable(reign, corrected[4])
    assert retention.clean(reign, [toy], LATER)["vacuumed_files"] == {"toy/features": 1}
    assert not readable(reign, corrected[4])


def test_a_version_is_kept_for_whichever_table_names_it():
    def info(version: int, published: datetime = NOW, **inputs) -> PartitionInfo:
        return PartitionInfo("2013-01-01", 1, "", version, 1, "", "live", "", inputs, published.isoformat())

    old = NOW - timedelta(days=10)
    stored = {
        "features": {"2013-01-01": info(7), "2013-01-02": info(8)},
        "predictions": {
            "2013-01-01": info(1, features={"digest": "x", "version": 5}),
            "2013-01-02": info(1, features={"digest": "x", "version": 8}),  # the newest is kept anyway
        },
        "shadow_predictions": {"2013-01-01": info(1, features={"digest": "x", "version": 6})},
        "profiles": {"2013-01-01": info(1, predictions={"digest": "x"}, reference="no mapping")},
        "metrics": {"2013-01-01": info(1, old, features={"digest": "x", "version": 4})},
    }
    assert retention.named(stored, NOW - timedelta(days=9)) == {
        "features": {5: "predictions 2013-01-01", 6: "shadow_predictions 2013-01-01"}
    }


def test_the_command_tells_what_would_go_and_for_whom_the_rest_is_kept(reign, toy, corrected, monkeypatch):
    app = typer.Typer()
    verbs.register(app)
    brief = reign.model_copy(update={"keep_versions_days": 1})
    monkeypatch.setattr(verbs, "environment", lambda name: brief)
    monkeypatch.setattr(imago_models, "MODELS", (toy,))
    said = CliRunner().invoke(app, ["retention", "--dry-run"]).output
    assert "Would go: 0 files" in said  # nothing is a day old
    assert f"toy/features {corrected[2]}: predictions {FIRST}" in said
    told = json.loads(CliRunner().invoke(app, ["retention", "--json"]).output)
    assert told["kept_versions"]["toy/features"][f"training {TRAINED}"] == [corrected[1]]
