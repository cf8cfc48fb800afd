"""A verdict that waits for a person ends in the ledger, however it ends."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from registered_world import LIVE, SPEC
from sqlalchemy import select

from imago.errors import ChampionChanged, ImagoError, ModelRefused
from imago.jobs import approval, monitoring
from imago.ledger import champions, connect, decisions
from imago.ledger.schema import alerts, incidents
from imago.storage import Storage


@pytest.fixture(autouse=True)
def no_reference(monkeypatch):
    """These champions have no training whose scores a reference could be made of."""
    monkeypatch.setattr(monitoring, "reference_of", lambda *given: None)


@pytest.fixture
def waiting(world):
    """The number of a decision that waits, against a champion that reigns."""
    world.promote(1)
    number = world.decide(world.version(2), "awaiting")
    with connect(world.env).begin() as connection:
        from imago.alerts.outbox import Alert, raise_alert

        raise_alert(
            connection,
            Alert(model="toy", rule="approval_awaited", subject="fair fight", ds="2013-10-01", title="t", why="w",
                  did="d", next_step="n"),
            LIVE,
        )  # fmt: skip
    return number


def reigning(world):
    with connect(world.env).connect() as connection:
        assert champions.verify(connection, "toy") == []
        return champions.reigning(connection, "toy")


def told(world):
    query = select(alerts.c.title).where(alerts.c.rule == "approval_ended").order_by(alerts.c.id)
    awaited = select(incidents.c.status).where(incidents.c.rule == "approval_awaited")
    with connect(world.env).connect() as connection:
        return list(connection.execute(query).scalars()), connection.execute(awaited).scalar_one()


def approve(world, number, who="ada"):
    return approval.approve(world.env, SPEC, number, who, LIVE)


def close(world, number, outcome, by="bob"):
    return approval.close(world.env, SPEC, number, outcome, by=by, context=LIVE)


def test_who_approved_and_when_stand_in_the_ledger(world, waiting):
    before = datetime.now(UTC)
    assert approve(world, waiting, "ada")["outcome"] == "promoted"
    row = reigning(world)
    assert (row.version, row.decided_by, row.decision_id) == ("2", "ada", waiting)
    assert before <= row.decided_at <= datetime.now(UTC)
    approve(world, waiting, "eve")
    assert reigning(world) == row
    assert close(world, waiting, "declined")["outcome"] == "promoted"
    assert told(world) == ([], "resolved")


def test_a_no_is_written_down_and_closes_the_verdict(world, waiting):
    for _ in range(2):
        assert close(world, waiting, "declined")["outcome"] == "declined"
    assert told(world) == (["toy: bob declined version 2"], "resolved")
    with connect(world.env).connect() as connection:
        answer = decisions.answer_to(connection, waiting)
    assert (answer["outcome"], answer["verdict"]["answered_by"]) == ("declined", "bob")
    with pytest.raises(ImagoError, match="closed: bob declined version 2"):
        approve(world, waiting)
    assert reigning(world).version == "1"


def test_no_answer_promotes_nobody_and_the_challenger_can_be_promoted_by_hand_later(world, waiting):
    for _ in range(2):
        assert close(world, waiting, "expired", by="nobody")["outcome"] == "expired"
    assert reigning(world).version == "1"
    assert told(world) == (["toy: nobody answered in time whether version 2 may reign"], "resolved")
    approve(world, waiting, "ada")
    assert (reigning(world).version, reigning(world).decided_by) == ("2", "ada")


def test_a_no_after_the_time_has_passed_still_counts(world, waiting):
    close(world, waiting, "expired", by="nobody")
    assert close(world, waiting, "declined")["outcome"] == "declined"
    with pytest.raises(ImagoError, match="closed"):
        approve(world, waiting)


def test_an_approval_that_comes_after_another_champion_voids_the_verdict_for_good(world, waiting):
    other = world.promote(3)
    for _ in range(2):
        with pytest.raises((ChampionChanged, ImagoError)):
            approve(world, waiting)
    assert reigning(world) == other
    assert told(world) == (["toy: ada approved version 2, but another champion has begun to reign since the verdict"],
                           "resolved")  # fmt: skip
    with connect(world.env).connect() as connection:
        assert decisions.answer_to(connection, waiting)["outcome"] == "voided"


def test_a_rollback_meanwhile_voids_the_verdict_as_well(world):
    first = world.promote(1)
    world.promote(2)
    number = world.decide(world.version(3), "awaiting")
    back = {name: getattr(first, name) for name in ("version", "run_id", "artifact_uri", "artifact_sha256",
                                                    "artifact_format", "artifacts")}  # fmt: skip
    world.crown(back, action="rollback")
    with pytest.raises(ChampionChanged):
        approve(world, number)
    assert reigning(world).version == "1"


def test_a_challenger_whose_files_are_not_whole_is_not_promoted(world, waiting):
    with connect(world.env).connect() as connection:
        entry = decisions.get(connection, waiting)["verdict"]["entry"]
    storage = Storage(world.env)
    storage.write_bytes(f"{storage.relative(entry['artifact_uri'])}/model.json", b"{}")
    with pytest.raises(ModelRefused, match="digest"):
        approve(world, waiting)
    assert reigning(world).version == "1"


def test_an_approval_without_a_name_and_a_decision_that_waits_for_nobody_are_refused(world, waiting):
    with pytest.raises(ImagoError, match="needs a name"):
        approve(world, waiting, " ")
    kept = world.decide(world.version(4), "kept")
    with pytest.raises(ImagoError, match="does not wait"):
        approve(world, kept)
    with pytest.raises(ImagoError, match="does not wait"):
        close(world, kept, "declined")


def test_a_backfill_that_approves_moves_nothing(world, waiting):
    approval.approve(world.env, SPEC, waiting, "ada", dataclasses.replace(LIVE, mode="backfill"))
    assert reigning(world).version == "1"
