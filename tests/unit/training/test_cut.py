"""Where days are cut."""

from __future__ import annotations

import pytest
from toy_world import make_spec

from imago.errors import ImagoError
from imago.specs import Training
from imago.training.cut import cut

SPEC = make_spec().model_copy(update={"first_day": "2013-01-01"})


def plan(**values):
    return SPEC.model_copy(
        update={"training": Training(**{"warmup_days": 28, "tuning_days": 14, "holdout_days": 30, **values})}
    )


def test_the_training_of_1_october_is_judged_on_september_and_learns_until_30_august():
    found = cut(plan(), "2013-10-01")
    assert (found.holdout_first, found.holdout_last) == ("2013-09-01", "2013-09-30")
    assert found.trained_until == "2013-08-30"
    assert (found.train_first, found.train_last) == ("2013-01-29", "2013-08-15")
    assert found.tuning_first == "2013-08-17"
    assert found.effective_ds == "2013-10-02"


def test_a_longer_label_delay_leaves_a_longer_gap_before_tuning_and_holdout():
    found = cut(plan().model_copy(update={"label_delay_days": 3}), "2013-10-01")
    assert (found.holdout_first, found.holdout_last) == ("2013-08-30", "2013-09-28")
    assert found.trained_until == "2013-08-26"
    assert (found.train_last, found.tuning_first) == ("2013-08-09", "2013-08-13")


def test_the_window_bounds_how_far_back_a_training_learns():
    assert cut(plan(window_days=60), "2013-10-01").train_first == "2013-07-02"


def test_without_tuning_days_all_days_train():
    found = cut(plan(tuning_days=0), "2013-10-01")
    assert (found.train_last, found.days("tuning")) == ("2013-08-30", ())


def test_too_few_days_to_learn_from_are_refused():
    with pytest.raises(ImagoError, match="fewer than 14 days"):
        cut(plan(), "2013-03-20")
