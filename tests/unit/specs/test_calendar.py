"""Closed days: which days there are, how far back a number of open days reaches, and where a training is cut."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imago.alerts.watch import due_partitions
from imago.errors import ClosedDay, ImagoError, SpecError
from imago.specs import Calendar, Schedules, Training, get_model
from imago.specs.calendar import WEEKDAYS, counted, open_days, require_open
from imago.training.cut import Cut, cut

SUNDAYS = Calendar(closed_weekdays=("sunday",))
DAYS = st.dates(date(2012, 1, 1), date(2014, 12, 31))
CALENDARS = st.builds(
    lambda weekdays, days: Calendar(closed_weekdays=tuple(weekdays), closed_days=tuple(map(str, days))),
    st.lists(st.sampled_from(WEEKDAYS), max_size=6, unique=True),
    st.lists(DAYS, max_size=12, unique=True),
)


def spec(calendar=SUNDAYS, **values):
    return get_model("flight_delays").model_copy(update={"calendar": calendar, "first_day": "2012-01-02", **values})


def is_closed(calendar: Calendar, day: date) -> bool:
    """Counted by weekday number and date, apart from the platform's own walk over day keys."""
    return day.isoweekday() in {WEEKDAYS.index(name) + 1 for name in calendar.closed_weekdays} or (
        day in {date.fromisoformat(text) for text in calendar.closed_days}
    )


@settings(max_examples=60, deadline=None)
@given(CALENDARS, DAYS, st.integers(0, 90))
def test_each_day_of_a_range_is_open_or_closed_and_says_why(calendar, first, length):
    days = [first + timedelta(days=n) for n in range(length + 1)]
    expected = tuple(str(day) for day in days if not is_closed(calendar, day))
    assert calendar.open_days(str(days[0]), str(days[-1])) == expected
    closed = calendar.closed_between(str(days[0]), str(days[-1]))
    assert sorted((*expected, *closed)) == [str(day) for day in days]
    assert all(ds in calendar.why_closed(ds) for ds in closed)


@settings(max_examples=60, deadline=None)
@given(CALENDARS, DAYS, st.integers(1, 60))
def test_a_number_of_open_days_reaches_back_as_far_as_it_has_to(calendar, last, count):
    first = calendar.back(str(last), count)
    assert len(calendar.open_days(first, str(last))) == count
    assert calendar.is_open(first)


@settings(max_examples=60, deadline=None)
@given(
    CALENDARS,
    st.dates(date(2014, 10, 1), date(2014, 12, 31)),
    st.integers(0, 10),
    st.sampled_from([0, 7]),
    st.integers(7, 30),
)
def test_a_holdout_has_its_days_and_no_part_has_a_closed_day(calendar, ds, delay, tuning, holdout):
    plan = Training(window_days=40, warmup_days=0, tuning_days=tuning, holdout_days=holdout)
    found = cut(spec(calendar, label_delay_days=delay, training=plan, last_day=None), str(ds))
    assert len(found.days("holdout")) == holdout
    assert len(found.days("tuning")) == tuning
    assert all(not is_closed(calendar, date.fromisoformat(day)) for day in (*found.days("fit"), *found.days("holdout")))
    assert found.holdout_last <= str(ds - timedelta(days=delay))
    assert date.fromisoformat(found.trained_until) < date.fromisoformat(found.holdout_first) - timedelta(days=delay)
    assert Cut.from_dict(found.as_dict()) == found


def test_a_shop_that_is_closed_on_sundays_is_judged_on_thirty_days():
    found = cut(spec(label_delay_days=1, training=Training(window_days=60, holdout_days=30)), "2013-10-01")
    # 35 calendar days have five Sundays; the last known day is Monday 30 September.
    assert (found.holdout_first, found.holdout_last) == ("2013-08-27", "2013-09-30")
    assert "2013-09-29" not in found.days("holdout")
    assert len(found.days("holdout")) == 30


def test_too_few_open_days_to_learn_from_are_counted_as_open_days():
    with pytest.raises(ImagoError, match="open days are left to learn from, and 14 are needed") as refused:
        cut(
            spec(first_day="2013-08-01", training=Training(warmup_days=0, tuning_days=0, holdout_days=30)), "2013-09-20"
        )
    assert refused.value.facts["seen"].endswith("open days")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"closed_weekdays": WEEKDAYS}, "at most six weekdays"),
        ({"closed_weekdays": ("sunday", "sunday")}, "each once"),
        ({"closed_weekdays": ("Sun",)}, "closed_weekdays"),
        ({"closed_days": ("2013-02-30",)}, "2013-02-30"),
        ({"closed_days": ("25.12.2013",)}, "YYYY-MM-DD"),
        ({"closed_days": ("2013-12-25", "2013-12-25")}, "each once"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused_by_its_field(values, says):
    with pytest.raises(SpecError, match=says):
        Calendar(**values)


def test_work_on_a_closed_day_is_refused_with_its_reason_and_an_open_day():
    with pytest.raises(ClosedDay, match="2013-12-22 is a sunday") as closed:
        require_open(spec(), "2013-12-22", environment="dev")
    assert "2013-12-21" in closed.value.next_step
    require_open(spec(), "2013-12-22", "2013-12-23")
    with pytest.raises(ClosedDay, match="every day from 2013-12-21 to 2013-12-22"):
        require_open(spec(Calendar(closed_weekdays=("saturday", "sunday"))), "2013-12-21", "2013-12-22")


def test_a_range_says_how_many_of_its_days_are_open():
    assert counted(spec(), "2013-12-21", "2013-12-23") == "2 open days of 3"
    assert counted(spec(), "2013-12-23", "2013-12-23") == "1 day"
    assert open_days(spec(), "2013-12-22", "2013-12-22") == ()


@settings(max_examples=40, deadline=None)
@given(CALENDARS, st.datetimes(datetime(2013, 2, 1), datetime(2013, 11, 30)))
def test_nothing_falls_due_on_a_closed_day_and_everything_on_the_others(calendar, now):
    daily = spec(calendar, schedules=Schedules(daily="0 0 * * *"), timezone="UTC", label_delay_days=2)
    every = spec(Calendar(), schedules=Schedules(daily="0 0 * * *"), timezone="UTC", label_delay_days=2)
    asked = {"grace": timedelta(hours=1), "look_back_days": 6}
    due = {(one.table, one.ds) for one in due_partitions(daily, now.replace(tzinfo=UTC), **asked)}
    all_due = {(one.table, one.ds) for one in due_partitions(every, now.replace(tzinfo=UTC), **asked)}
    assert due == {(table, ds) for table, ds in all_due if not is_closed(calendar, date.fromisoformat(ds))}
