"""The ledger of champions on a real Postgres."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InternalError

from imago.errors import ChampionChanged, ImagoError, NoChampion
from imago.ledger import champions, connect
from imago.ledger.champions import Champion

FIRST = Champion(
    model="toy",
    action="promote",
    version="1",
    run_id="r",
    artifact_uri="/nowhere",
    artifact_sha256="0" * 64,
    artifact_format="skops",
    artifacts={"model.skops": "0" * 64},
    training_ds="2013-10-01",
    trained_until="2013-08-30",
    effective_ds="2013-10-02",
    decided_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    decided_by="a test",
    decision_id=None,
    reason="it won",
)


def crown(environment, entry, expected):
    with connect(environment).begin() as connection:
        return champions.crown(connection, entry, expected=expected)


def history(environment):
    with connect(environment).connect() as connection:
        return champions.history(connection, "toy")


def test_the_newest_row_reigns_and_the_chain_is_whole(dev):
    first = crown(dev, FIRST, None)
    second = crown(dev, replace(FIRST, version="2", effective_ds="2013-10-09"), first.id)
    rows = history(dev)
    assert [row.version for row in rows] == ["1", "2"]
    assert rows == [first, second]
    assert champions.broken_links(rows) == []


def test_who_reigns_on_a_day_follows_the_day_of_effect(dev):
    first = crown(dev, FIRST, None)
    crown(dev, replace(FIRST, version="2", effective_ds="2013-10-09"), first.id)
    with connect(dev).connect() as connection:
        assert champions.at(connection, "toy", "2013-10-08").version == "1"
        assert champions.at(connection, "toy", "2013-10-09").version == "2"
        with pytest.raises(NoChampion):
            champions.at(connection, "toy", "2013-10-01")
        with pytest.raises(NoChampion):
            champions.at(connection, "toy", "2013-10-09", known_at=datetime(2025, 1, 1, tzinfo=UTC))


def test_a_promotion_against_somebody_else_is_refused_and_writes_nothing(dev):
    crown(dev, FIRST, None)
    with pytest.raises(ChampionChanged):
        crown(dev, replace(FIRST, version="2"), None)
    assert len(history(dev)) == 1


def test_of_many_promotions_against_the_same_champion_one_is_written(dev):
    first = crown(dev, FIRST, None)
    refused = []

    def attempt(place):
        try:
            crown(dev, replace(FIRST, version=f"{place}"), first.id)
        except ChampionChanged:
            refused.append(place)

    threads = [threading.Thread(target=attempt, args=(place,)) for place in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    assert len(history(dev)) == 2


def test_a_row_cannot_be_changed(dev):
    crown(dev, FIRST, None)
    with pytest.raises(InternalError, match="append-only"), connect(dev).begin() as connection:
        connection.execute(text("update champions set version = '7'"))


def test_a_row_that_a_database_owner_changed_by_force_is_found(dev):
    first = crown(dev, FIRST, None)
    crown(dev, replace(FIRST, version="2"), first.id)
    with connect(dev).begin() as connection:
        connection.execute(text("set local session_replication_role = replica"))  # what switches triggers off
        connection.execute(text("update champions set version = '7' where id = :id"), {"id": first.id})
    with pytest.raises(ImagoError, match=f"row {first.id}: its content was changed"):
        champions.check_chain(history(dev))


def test_a_row_that_was_removed_is_found():
    first = replace(FIRST, id=1, row_hash=champions.row_hash(FIRST))
    second = replace(FIRST, id=2, version="2", previous_id=1, prev_hash=first.row_hash)
    second = replace(second, row_hash=champions.row_hash(second))
    assert champions.broken_links([first, second]) == []
    assert champions.broken_links([second]) != []


def reign(*versions):
    """A history: a version, or "back to" a version as ("rollback", version)."""
    rows = []
    for place, one in enumerate(versions, 1):
        action, version = one if isinstance(one, tuple) else ("promote", one)
        rows.append(replace(FIRST, id=place, version=version, action=action))
    return rows


@pytest.mark.parametrize(
    ("past", "asked", "target"),
    [
        (reign("1", "2"), None, "1"),
        (reign("1", "2", "3"), None, "2"),
        (reign("1", "2", "3"), "1", "1"),
        (reign("1", "2", "3", ("rollback", "2")), None, "1"),
        (reign("1", "2", ("rollback", "1"), "3"), None, "1"),
        (reign("1", "2", ("rollback", "1"), "2", "3"), None, "2"),  # 2 has won again since
        (reign("1", "2", ("rollback", "1")), "2", "2"),  # whoever names it may have it
    ],
)
def test_a_rollback_returns_to_whoever_reigned_before_and_never_to_one_that_was_rolled_back(past, asked, target):
    assert champions.rollback_target(past, asked).version == target


@pytest.mark.parametrize(
    ("past", "asked", "said"),
    [
        ([], None, "no champion to roll back"),
        (reign("1"), None, "no earlier champion"),
        (reign("1", "2"), "9", "version 9 never reigned"),
        (reign("1", "2"), "2", "version 2 reigns already"),
        (reign("1", "2", ("rollback", "1")), None, "every earlier champion was itself rolled back from"),
    ],
)
def test_a_rollback_to_nobody_is_refused(past, asked, said):
    with pytest.raises(NoChampion, match=said):
        champions.rollback_target(past, asked)


def test_a_rollback_that_is_refused_names_those_who_may_be_named_the_latest_first():
    with pytest.raises(NoChampion) as refused:
        champions.rollback_target(reign("1", "2", "3", ("rollback", "2"), ("rollback", "1")), None)
    assert refused.value.facts["allowed"] == "2, 3"
