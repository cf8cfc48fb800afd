"""A day in parts gives the rows, the profile and the provenance of a day in one piece."""

from __future__ import annotations

import dataclasses

import pytest
from champion_world import FIRST, LIVE, publish, world_rows

from imago.errors import Fenced, MissingPartition, RefusedPartition
from imago.jobs import scoring, scoring_parts
from imago.scoring import predictions
from imago.specs import Scoring
from imago.storage import Storage
from imago.tables import Table


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of 7 rows, so that a day of 40 has six."""
    monkeypatch.setattr(predictions, "BATCH_ROWS", 7)


@pytest.fixture
def in_three(toy):
    return toy.model_copy(update={"scoring": Scoring(parts=3)})


def test_slices_are_whole_batches_and_hold_every_row_once():
    assert scoring_parts.cut(40, 3, 7) == [(1, 0, 14), (2, 14, 28), (3, 28, 40)]
    assert scoring_parts.cut(7, 3, 7) == [(1, 0, 7)]
    for rows, parts in ((1, 1), (100, 3), (101, 7), (1000, 9)):
        slices = scoring_parts.cut(rows, parts, 10)
        assert [stop for _, _, stop in slices][:-1] == [start for _, start, _ in slices][1:]
        assert (slices[0][1], slices[-1][2], len(slices)) == (0, rows, min(parts, -(-rows // 10)))
        assert all(start % 10 == 0 and start < stop for _, start, stop in slices)


@pytest.mark.usefixtures("small_batches")
def test_three_parts_publish_what_one_task_publishes_and_a_part_may_be_scored_again(reign, toy, in_three):
    whole = scoring.score(reign, toy, FIRST, LIVE)
    tables = [Table(reign, "toy", name) for name in ("predictions", "profiles")]
    before = [table.version() for table in tables]

    planned = scoring_parts.plan(reign, in_three, FIRST, LIVE)
    made = [scoring_parts.score_part(reign, in_three, planned["assignment"], one, LIVE) for one in planned["slices"]]
    again = scoring_parts.score_part(reign, in_three, planned["assignment"], planned["slices"][1], LIVE)
    told = scoring_parts.publish_parts(reign, in_three, planned["assignment"], [made[2], again, made[0]], LIVE)

    assert again == made[1]
    assert [part["rows"] for part in made] == [14, 14, 12]
    assert {**told, "changed": True} == {**whole, "changed": True}
    assert told["changed"] is False
    assert [table.version() for table in tables] == before


@pytest.mark.usefixtures("small_batches")
def test_parts_that_were_planned_before_another_run_read_its_inputs_are_fenced(reign, toy, in_three):
    planned = scoring_parts.plan(reign, in_three, FIRST, LIVE)
    made = [scoring_parts.score_part(reign, in_three, planned["assignment"], one, LIVE) for one in planned["slices"]]
    changed, _ = world_rows([FIRST], shift=1.0)
    publish(reign, "features", changed, [FIRST])
    scoring.score(reign, toy, FIRST, dataclasses.replace(LIVE, run_id="newer"))

    with pytest.raises(Fenced, match="drawn by run newer"):
        scoring_parts.publish_parts(reign, in_three, planned["assignment"], made, LIVE)


@pytest.mark.usefixtures("small_batches")
def test_a_part_that_is_missing_or_was_changed_is_never_published(reign, in_three):
    planned = scoring_parts.plan(reign, in_three, FIRST, LIVE)
    made = [scoring_parts.score_part(reign, in_three, planned["assignment"], one, LIVE) for one in planned["slices"]]
    with pytest.raises(MissingPartition, match="28 of the day's 40 rows"):
        scoring_parts.publish_parts(reign, in_three, planned["assignment"], made[:2], LIVE)
    storage = Storage(reign)
    staged = bytearray(storage.read_bytes(made[1]["file"]))
    staged[len(staged) // 2] ^= 1
    storage.write_bytes(made[1]["file"], bytes(staged))
    with pytest.raises(MissingPartition, match="does not hold what was written"):
        scoring_parts.publish_parts(reign, in_three, planned["assignment"], made, LIVE)
    assert Table(reign, "toy", "predictions").version() is None


@pytest.mark.usefixtures("small_batches")
def test_bad_rows_are_judged_over_the_whole_day_whatever_part_they_lie_in(reign, in_three):
    rows, _ = world_rows([FIRST])
    gates = rows["gate"].to_pylist()
    publish(reign, "features", rows.set_column(3, "gate", [["Z", *gates[1:-1], "Q"]]), [FIRST])
    planned = scoring_parts.plan(reign, in_three, FIRST, LIVE)
    made = [scoring_parts.score_part(reign, in_three, planned["assignment"], one, LIVE) for one in planned["slices"]]
    with pytest.raises(RefusedPartition, match="gate: allowed values") as refused:
        scoring_parts.publish_parts(reign, in_three, planned["assignment"], made, LIVE)
    assert (refused.value.facts["rows"], refused.value.facts["seen"]) == (2, "'Z'")
