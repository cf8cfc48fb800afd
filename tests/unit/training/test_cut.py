"""Where days are cut: nothing is used before its label is known, and no day is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from toy_world import make_spec

from imago.alerts.watch import due_partitions
from imago.days import days_between, shift
from imago.errors import ImagoError
from imago.jobs.metrics import mature_at
from imago.specs import Training
from imago.training.cut import Cut, cut, first_training_day, moments, training_moment

SPEC = make_spec().model_copy(update={"first_day": "2013-01-01"})


def plan(delay=1, first_day="2013-01-01", **values):
    training = Training(**{"warmup_days": 28, "tuning_days": 14, "holdout_days": 30, **values})
    return SPEC.model_copy(update={"training": training, "label_delay_days": delay, "first_day": first_day})


def test_the_training_of_1_october_is_judged_on_september_and_learns_until_30_august():
    found = cut(plan(), "2013-10-01")
    assert (found.holdout_first, found.holdout_last) == ("2013-09-01", "2013-09-30")
    assert found.trained_until == "2013-08-30"
    assert (found.train_first, found.train_last) == ("2013-01-29", "2013-08-15")
    assert found.tuning_first == "2013-08-17"
    assert found.effective_ds == "2013-10-02"


def test_a_longer_label_delay_leaves_a_longer_gap_before_tuning_and_holdout():
    found = cut(plan(3), "2013-10-01")
    assert (found.holdout_first, found.holdout_last) == ("2013-08-30", "2013-09-28")
    assert found.trained_until == "2013-08-26"
    assert (found.train_last, found.tuning_first) == ("2013-08-09", "2013-08-13")


@pytest.mark.parametrize("delay", [0, 1, 7, 30, 90])
def test_the_last_fit_and_the_fits_before_tuning_learn_from_whole_windows(delay):
    found = cut(plan(delay, first_day="2011-01-01", window_days=60), "2013-10-01")
    assert len(found.days("fit")) == len(found.days("train")) == 60
    assert (len(found.days("tuning")), len(found.days("holdout"))) == (14, 30)
    # The wait for the holdout's labels and that before the holdout, and no third one.
    assert (datetime.fromisoformat("2013-10-01") - datetime.fromisoformat(found.trained_until)).days == 2 * delay + 30


@pytest.mark.parametrize(
    ("delay", "train", "fit", "holdout"),
    [  # the table of docs/point-in-time.md
        (0, ("2011-05-19", "2012-05-17"), ("2011-06-02", "2012-05-31"), ("2012-06-01", "2012-06-30")),
        (1, ("2011-05-16", "2012-05-14"), ("2011-05-31", "2012-05-29"), ("2012-05-31", "2012-06-29")),
        (7, ("2011-04-28", "2012-04-26"), ("2011-05-19", "2012-05-17"), ("2012-05-25", "2012-06-23")),
        (30, ("2011-02-18", "2012-02-17"), ("2011-04-03", "2012-04-01"), ("2012-05-02", "2012-05-31")),
        (90, ("2010-08-22", "2011-08-21"), ("2010-12-04", "2011-12-03"), ("2012-03-03", "2012-04-01")),
    ],
)
def test_the_table_of_the_docs(delay, train, fit, holdout):
    found = cut(plan(delay, first_day="2009-01-01"), "2012-06-30")
    assert (found.train_first, found.train_last) == train
    assert (found.fit_first, found.trained_until) == fit
    assert (found.holdout_first, found.holdout_last) == holdout


def test_without_tuning_days_all_days_train():
    found = cut(plan(tuning_days=0), "2013-10-01")
    assert (found.train_last, found.days("tuning")) == ("2013-08-30", ())
    assert found.days("train") == found.days("fit")


def test_each_day_has_a_purpose_in_words():
    found = cut(plan(30, window_days=60), "2013-10-01")
    assert found.purposes() == [
        ("2013-03-22", "2013-05-04", 44, "learned from for tuning alone: the window of the last fit begins later"),
        ("2013-05-05", "2013-05-20", 16, "learned from"),
        ("2013-05-21", "2013-06-19", 30,
         "learned from in the last fit alone: their labels were not known when tuning began"),
        ("2013-06-20", "2013-07-03", 14, "tuned on, then learned from"),
        ("2013-07-04", "2013-08-02", 30, "waited for: their labels were not known when the holdout began"),
        ("2013-08-03", "2013-09-01", 30, "judged on"),
        ("2013-09-02", "2013-10-01", 30, "waited for: their labels are not known yet"),
    ]  # fmt: skip
    assert found.in_words().endswith("; a champion scores from 2013-10-02 on")
    assert Cut.from_dict(found.as_dict()) == found


specs = st.builds(
    plan,
    st.integers(0, 120),
    window_days=st.integers(7, 400),
    warmup_days=st.integers(0, 60),
    tuning_days=st.integers(0, 40),
    holdout_days=st.integers(7, 60),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(spec=specs, age=st.integers(0, 900))
def test_no_row_is_used_before_its_label_is_known_and_no_day_is_lost(spec, age):
    ds = shift(spec.first_day, age)
    try:
        found = cut(spec, ds)
    except ImagoError:
        assume(False)
    earliest = shift(spec.first_day, spec.training.warmup_days)
    known = moments(spec, found)
    for part in ("train", "fit", "holdout"):
        days = found.days(part)
        assert earliest <= days[0]
        assert all(mature_at(spec, day) <= known[part] for day in (days[0], days[-1]))
        # One day more would not have been known.
        assert mature_at(spec, shift(days[-1], 1)) > known[part]
    assert len(found.days("holdout")) == spec.training.holdout_days
    assert len(found.days("tuning")) == spec.training.tuning_days
    for part in ("train", "fit"):
        days = found.days(part)
        assert len(days) == spec.training.window_days or days[0] == earliest
        assert len(days) <= spec.training.window_days
    spans = found.purposes()
    covered = [day for first, last, _, _ in spans for day in days_between(first, last)]
    assert covered == list(days_between(found.first, ds))
    assert set(found.days("all")) == {day for first, last, _, what in spans if not what.startswith("waited")
                                      for day in days_between(first, last)}  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True)
@given(spec=specs, age=st.integers(0, 500))
def test_a_refusal_names_the_first_day_that_works_and_the_fields_that_would_help(spec, age):
    ds = shift(spec.first_day, age)
    first = first_training_day(spec)
    assert first is not None
    if ds >= first:
        cut(spec, ds)
        return
    with pytest.raises(ImagoError) as refused:
        cut(spec, ds)
    error = refused.value
    assert f"train on {first} or later" in error.next_step
    cut(spec, first)
    with pytest.raises(ImagoError):
        cut(spec, shift(first, -1))
    for advice in error.next_step.partition(" set ")[2].removesuffix(" in the spec").split(" or "):
        if advice:
            field, value = advice.removeprefix("training.").split("=")
            cut(spec.model_copy(update={"training": spec.training.model_copy(update={field: int(value)})}), ds)


def test_too_few_days_to_learn_from_are_refused_with_what_the_days_went_into():
    with pytest.raises(ImagoError, match=r"comes too early: 4 days are left to learn from, and 14 are needed") as found:
        cut(plan(), "2013-03-20")
    assert "28 warm up, 14 days tune, 30 judge, and 3 go by until labels are known" in found.value.message
    assert found.value.next_step == (
        "train on 2013-03-30 or later, or set training.tuning_days=4 or training.holdout_days=20 or "
        "training.warmup_days=18 in the spec"
    )


def test_where_no_training_would_ever_work_history_is_asked_for():
    spec = plan(30, window_days=60).model_copy(update={"last_day": "2013-03-01"})
    with pytest.raises(ImagoError) as refused:
        cut(spec, "2013-03-01")
    assert refused.value.next_step == (
        "land history from before 2013-01-01 and set first_day to its first day in the spec"
    )


def test_a_window_that_is_short_on_purpose_can_be_trained_on():
    assert len(cut(plan(window_days=7), "2013-10-01").days("fit")) == 7


@pytest.mark.parametrize("delay", [0, 1, 7, 30, 90])
def test_no_stage_waits_for_the_delay_a_second_time(delay):
    """The outcomes of the last holdout day are due, complete and judged by at the very moment of the training."""
    spec = plan(delay, first_day="2011-01-01")
    ds = "2013-10-01"
    last, moment = cut(spec, ds).holdout_last, training_moment(spec, ds)
    assert last == shift(ds, -delay)
    assert mature_at(spec, last) == moment
    due = due_partitions(spec, moment.replace(tzinfo=UTC), grace=timedelta(0), look_back_days=3)
    assert max(one.ds for one in due if one.table == "outcomes") == last
