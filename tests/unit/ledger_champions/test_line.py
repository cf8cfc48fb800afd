"""The database keeps the rows of a model in one line, whoever writes them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from test_champions import FIRST, crown, history, reign

from imago.errors import ImagoError
from imago.ledger import champions, connect
from imago.ledger.schema import champions as table


def write(environment, **changes):
    """A row past `crown`, as other code would write it."""
    values = {**FIRST.as_dict(), "decided_at": FIRST.decided_at, "row_hash": "h", **changes}
    del values["id"]
    with connect(environment).begin() as connection:
        connection.execute(table.insert().values(**values))


@pytest.mark.parametrize(
    ("previous", "constraint"),
    [
        (None, "champions_one_successor"),  # a second beginning
        (0, "champions_one_successor"),  # a second successor of the first row
        (999, "champions_follow"),  # a successor of nobody
        ("other", "champions_follow_own_line"),  # a successor of another model's row
    ],
)
def test_a_second_head_is_refused_by_the_database(dev, previous, constraint):
    first = crown(dev, FIRST, None)
    second = crown(dev, replace(FIRST, version="2"), first.id)
    other = crown(dev, replace(FIRST, model="other"), None)
    chosen = {0: first.id, "other": other.id}.get(previous, previous)
    with pytest.raises(IntegrityError, match=constraint):
        write(dev, previous_id=chosen, version="3")
    assert history(dev) == [first, second]


def test_an_action_that_nobody_knows_is_refused(dev):
    with pytest.raises(IntegrityError, match="champions_action"):
        write(dev, previous_id=None, action="seize")


@pytest.mark.parametrize("statement", ["update {} set model = 'x'", "delete from {}", "truncate {} cascade"])
@pytest.mark.parametrize("name", ["champions", "decisions"])
def test_what_was_decided_is_neither_changed_nor_removed(dev, statement, name):
    crown(dev, FIRST, None)
    with pytest.raises(DBAPIError, match="append-only"), connect(dev).begin() as connection:
        connection.execute(text(statement.format(name)))
    assert len(history(dev)) == 1


def test_a_number_that_named_another_model_before_cannot_reign(dev):
    first = crown(dev, FIRST, None)
    with pytest.raises(ImagoError, match="version 1 is the name of another model"):
        crown(dev, replace(FIRST, run_id="another run"), first.id)


@pytest.mark.parametrize(
    ("past", "keep", "protected"),
    [
        (reign(), 2, []),
        (reign("1"), 2, ["1"]),
        (reign("1", "2", "3"), 2, ["3", "2"]),
        (reign("1", "2", "3", ("rollback", "2")), 2, ["2", "3"]),
        (reign("1", "2", "3", ("rollback", "1"), ("rollback", "2")), 2, ["2", "1", "3"]),
        (reign("1", "2", "3"), 9, ["3", "2", "1"]),
    ],
)
def test_who_reigned_within_the_last_promotions_is_protected_and_a_rollback_pushes_nobody_out(past, keep, protected):
    assert list(champions.protected(past, keep)) == protected
