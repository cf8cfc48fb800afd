"""`imago champion`: what it answers to people and to machines, on a real ledger, MLflow and model files."""

from __future__ import annotations

import json

import pytest
from registered_world import SPEC
from typer.testing import CliRunner

from imago.cli import champion as verbs
from imago.errors import ImagoError, NoChampion, SpecError


@pytest.fixture
def imago(world, monkeypatch):
    """Calls a verb; its words on one line, or its JSON."""
    monkeypatch.setattr(verbs, "environment", lambda name: world.env)
    monkeypatch.setattr(verbs, "_spec", lambda name: SPEC)

    def call(*words):
        done = CliRunner().invoke(verbs.area, list(words))
        if done.exception is not None:
            raise done.exception
        return json.loads(done.output) if "--json" in words else " ".join(done.output.split())

    return call


def test_who_reigns_is_told_by_its_name_in_the_spec_with_who_decided_and_when(world, imago):
    row = world.promote(1)
    said = imago("show")
    assert said.startswith("toy line, version 1 (")
    for words in ("reigns from 2013-10-02", "trained until 2013-08-30", "decided at 2026-01-02 03:04 UTC",
                  "decided by a test", "why it won", f"digest {row.artifact_sha256}"):  # fmt: skip
        assert words in said
    told = imago("show", "--json")
    assert (told["version"], told["contestant"], told["row_hash"]) == ("1", "line", row.row_hash)


def test_who_scores_a_day_follows_the_day_of_effect_and_nobody_before_the_first(world, imago):
    world.crown({**world.version(1), "effective_ds": "2013-10-02"})
    world.crown({**world.version(2), "effective_ds": "2013-10-09"})
    assert imago("at", "2013-10-08", "--json")["version"] == "1"
    assert imago("at", "2013-10-09", "--json")["version"] == "2"
    with pytest.raises(NoChampion, match=r"nobody reigns on 2013-10-01.*champion history --model toy"):
        imago("at", "2013-10-01")
    with pytest.raises(ImagoError, match="not a day"):
        imago("at", "yesterday")


def test_the_history_has_every_row_oldest_first_and_a_rollback_is_one_of_them(world, imago):
    assert imago("history") == "Nobody was ever promoted."
    world.promote(1)
    world.promote(2)
    said = imago("rollback", "--reason", "2 is too quiet")
    assert said.startswith("toy line, version 1 (")
    rows = imago("history", "--json")["rows"]
    assert [(row["action"], row["version"]) for row in rows] == [("promote", "1"), ("promote", "2"), ("rollback", "1")]
    assert [row["previous_id"] for row in rows] == [None, rows[0]["id"], rows[1]["id"]]
    text = imago("history")
    assert text.count("promote version") == 2
    assert f"{rows[2]['id']} rollback version 1 line, reigns from 2013-10-02" in text
    assert text.endswith("2 is too quiet")
    with pytest.raises(NoChampion, match="every earlier champion was itself rolled back from"):
        imago("rollback")
    assert imago("rollback", "--to", "2", "--from", "2013-10-01", "--json")["effective_ds"] == "2013-10-01"


@pytest.mark.parametrize("ds", ["2013-10-03", "2203-10-09", "9999-12-31", "2012-12-31", "0001-01-01"])
def test_a_rollback_from_a_day_that_is_none_or_lies_ahead_is_refused_and_changes_nothing(world, imago, ds):
    world.promote(1)
    world.promote(2)
    before = imago("history", "--json")
    with pytest.raises(SpecError) as refused:
        imago("rollback", "--reason", "typo", "--from", ds)
    assert (refused.value.facts["partition"], refused.value.facts["environment"]) == (ds, "dev")
    assert refused.value.next_step
    assert imago("history", "--json") == before


def test_a_version_that_was_never_in_a_decision_has_no_name(world, imago):
    world.crown(world.version(1))
    assert imago("show").startswith("toy version 1 (")
    assert imago("history", "--json")["rows"][0]["contestant"] is None
