"""Which champion scores a day: a ledger of three rows, and every way to ask it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from imago.errors import ImagoError, NoChampion
from imago.ledger.champions import Champion
from imago.scoring.choice import pick


def row(number, version, effective_ds, *, action="promote", trained_until="2013-01-20"):
    return Champion(
        id=number, model="toy", action=action, version=version, run_id=f"run-{version}", artifact_uri="u",
        artifact_sha256="s", artifact_format="onnx", artifacts={}, training_ds="2013-02-01",
        trained_until=trained_until, effective_ds=effective_ds, decided_at=datetime(2013, 2, 1, tzinfo=UTC),
        decided_by="test", decision_id=None, reason="r",
    )  # fmt: skip


# Version 1 from 1 February, version 2 from the 10th, and back to version 1 from the 20th on.
ROWS = (row(1, "1", "2013-02-01"), row(2, "2", "2013-02-10"), row(3, "1", "2013-02-20", action="rollback"))


@pytest.mark.parametrize(
    ("ds", "entry"),
    [("2013-02-01", 1), ("2013-02-09", 1), ("2013-02-10", 2), ("2013-02-19", 2), ("2013-02-20", 3), ("2014-01-01", 3)],
)
def test_as_was_without_a_partition_takes_the_latest_row_that_is_effective_on_the_day(ds, entry):
    assert pick(ROWS, "toy", ds, "as-was").id == entry


def test_as_was_takes_the_entry_of_the_stored_partition_whoever_reigned_that_day():
    assert pick(ROWS, "toy", "2013-02-15", "as-was", {"champion_id": 1}).id == 1
    assert pick(ROWS, "toy", "2013-01-05", "as-was", {"champion_id": 3}).id == 3


def test_today_takes_the_latest_row_and_a_version_its_own_latest_row():
    assert pick(ROWS, "toy", "2013-01-05", "today").id == 3
    assert pick(ROWS, "toy", "2013-01-05", "2", {"champion_id": 1}).id == 2
    assert pick(ROWS, "toy", "2013-01-05", "1").id == 3


def test_a_day_before_every_reign_fails_and_names_the_options_with_the_command():
    with pytest.raises(NoChampion, match="the first champion scores from 2013-02-01 on") as refused:
        pick(ROWS, "toy", "2013-01-31", "as-was")
    assert refused.value.facts["allowed"] == "today, 1, 2"
    assert "--champion today" in refused.value.next_step


def test_a_model_that_nobody_ever_reigned_is_told_to_train_whatever_is_asked():
    for choice in ("as-was", "today"):
        with pytest.raises(NoChampion, match="nobody reigns") as refused:
            pick((), "toy", "2013-02-15", choice)
        assert "training and deployment" in refused.value.next_step


def test_a_version_that_never_reigned_and_a_word_that_is_none_name_what_is_allowed():
    with pytest.raises(NoChampion, match="as-was, today, 1, 2"):
        pick(ROWS, "toy", "2013-02-15", "9")
    for word in ("tody", "", "1; drop", "01"):
        with pytest.raises(ImagoError, match="chooses no champion"):
            pick(ROWS, "toy", "2013-02-15", word)


def test_a_partition_of_another_ledger_is_not_scored_with_somebody_else():
    with pytest.raises(NoChampion, match="ledger entry 7, which this ledger does not hold"):
        pick(ROWS, "toy", "2013-02-15", "as-was", {"champion_id": 7, "model_version": "4"})


def test_the_last_day_that_a_training_saw_leaks_and_the_day_after_does_not():
    assert ROWS[0].learned_from("2013-01-20") is True
    assert ROWS[0].learned_from("2013-01-21") is False
