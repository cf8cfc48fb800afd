"""The chain of champions is checked with its decisions, from the ledger and from the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from registered_world import SPEC
from sqlalchemy import text
from test_champions import FIRST
from typer.testing import CliRunner

from imago.cli import champion as verbs
from imago.errors import ImagoError
from imago.ledger import champions, connect, decisions
from imago.storage import Storage


def promote(environment, version, *, outcome="promoted", says=None):
    with connect(environment).begin() as connection:
        now = champions.reigning(connection, "toy")
        decision = decisions.record(
            connection, model="toy", training_ds="2013-10-01", run_id="r", outcome=outcome,
            incumbent_id=now.id if now else None, challenger_version=says or version, holdout_digest="d", verdict={},
        )  # fmt: skip
        entry = replace(FIRST, version=version, decision_id=decision)
        return champions.crown(connection, entry, expected=now.id if now else None)


def verified(environment, **options):
    with connect(environment).connect() as connection:
        return champions.verify(connection, "toy", **options)


def by_force(environment, statement):
    with connect(environment).begin() as connection:
        connection.execute(text("set local session_replication_role = replica"))  # what switches triggers off
        connection.execute(text(statement))


def test_a_history_as_it_was_written_is_whole(dev):
    assert verified(dev) == []
    promote(dev, "1")
    promote(dev, "2", outcome="awaiting")
    with connect(dev).begin() as connection:  # a rollback has no decision
        champions.crown(
            connection, replace(FIRST, action="rollback"), expected=champions.reigning(connection, "toy").id
        )
    assert verified(dev) == []


def test_a_newest_row_that_was_cut_off_is_missed_by_its_decision(dev):
    promote(dev, "1")
    last = promote(dev, "2")
    by_force(dev, f"delete from champions where id = {last.id}")
    (problem,) = verified(dev)
    assert problem == f"decision {last.decision_id} promoted version 2, and there is no row of it"


def test_a_newest_row_that_was_cut_off_with_its_decision_is_missed_by_a_noted_hash(dev):
    promote(dev, "1")
    last = promote(dev, "2")
    by_force(dev, f"delete from champions where id = {last.id}")
    by_force(dev, f"delete from decisions where id = {last.decision_id}")
    assert verified(dev) == []
    (problem,) = verified(dev, head=last.row_hash)
    assert last.row_hash in problem
    assert verified(dev, head=promote(dev, "3").row_hash) == []


@pytest.mark.parametrize("changed", [{"outcome": "kept"}, {"outcome": "promoted", "says": "9"}])
def test_a_row_that_its_decision_did_not_want_is_found(dev, changed):
    row = promote(dev, "1", **changed)
    assert verified(dev) == [f"row {row.id}: its decision {row.decision_id} did not say that version 1 won"]


def test_a_row_whose_decision_is_gone_is_found(dev):
    row = promote(dev, "1")
    by_force(dev, f"delete from decisions where id = {row.decision_id}")
    assert verified(dev) == [f"row {row.id}: its decision {row.decision_id} did not say that version 1 won"]


def test_another_models_decisions_are_not_heard(dev):
    with connect(dev).begin() as connection:
        decisions.record(
            connection, model="other", training_ds="2013-10-01", run_id="r", outcome="promoted", incumbent_id=None,
            challenger_version="1", holdout_digest="d", verdict={},
        )  # fmt: skip
    assert verified(dev) == []


def verify(world, monkeypatch, *options):
    monkeypatch.setattr(verbs, "environment", lambda name: world.env)
    monkeypatch.setattr(verbs, "_spec", lambda name: SPEC)
    return CliRunner().invoke(verbs.area, ["verify", *options])


def test_the_command_says_that_the_chain_is_whole_and_fails_where_it_is_not(world, monkeypatch):
    first, second = world.promote(1), world.promote(2)
    done = verify(world, monkeypatch)
    assert done.exit_code == 0
    assert "2 rows" in done.output
    assert second.row_hash in done.output.replace("\n", "")
    by_force(world.env, f"update champions set version = '7' where id = {first.id}")
    done = verify(world, monkeypatch, "--json")
    assert done.exit_code == 1
    assert isinstance(done.exception, ImagoError)
    assert f"row {first.id}: its content was changed" in json.loads(done.output)["problems"][0]


def test_the_command_finds_a_protected_model_whose_file_was_exchanged_or_that_got_company(world, monkeypatch):
    rows = [world.promote(slope) for slope in (1, 2, 3)]
    storage = Storage(world.env)
    for row, name in zip(rows, ("model.skops", "model.skops", "code/evil.py"), strict=True):
        storage.write_bytes(f"{storage.relative(row.artifact_uri)}/{name}", b"something else")
    problems = json.loads(verify(world, monkeypatch, "--json").output)["problems"]
    assert [problem.split(":")[0] for problem in problems] == ["version 3", "version 2"]  # 1 is protected no longer
    assert "holds a folder" in problems[0]
    assert "digest" in problems[1]
