"""Which day a tick works on, within which world, and that a stored timetable is the one that was written."""

from __future__ import annotations

import datetime
import os
import tempfile

import pytest

# Airflow writes its folder when it is first imported; not into anybody's home.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-"))
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")

from airflow.sdk import Asset
from airflow.timetables.base import TimeRestriction

from imago_airflow.timetable import DayAssetTimetable, DayPartitionTimetable

NEW_YORK = "America/New_York"
FOREVER = TimeRestriction(earliest=None, latest=None, catchup=False)


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def days(timetable, first: str, last: str) -> list[str | None]:
    infos = timetable.iter_partition_dagrun_infos(earliest=moment(first), latest=moment(last))
    return [info.partition_key for info in infos]


def test_a_day_of_the_spec_starts_at_its_local_midnight_on_both_sides_of_summer_time():
    timetable = DayPartitionTimetable("0 0 * * *", timezone=NEW_YORK)
    infos = list(timetable.iter_partition_dagrun_infos(earliest=moment("2013-11-02"), latest=moment("2013-11-04")))
    assert [str(info.partition_date) for info in infos] == [
        "2013-11-02 04:00:00+00:00",
        "2013-11-03 04:00:00+00:00",
        "2013-11-04 05:00:00+00:00",
    ]


def test_outcomes_of_a_day_run_when_they_are_complete():
    timetable = DayPartitionTimetable("0 0 * * *", timezone=NEW_YORK, days_back=2)
    (info,) = timetable.iter_partition_dagrun_infos(earliest=moment("2013-10-05"), latest=moment("2013-10-05"))
    assert info.partition_key == "2013-10-05"
    assert str(info.run_after) == "2013-10-07 04:00:00+00:00"


@pytest.mark.parametrize("cron", ["0 0 * * 3", "30 6 * * 3", "0 23 * * 3"])
def test_a_weekly_run_on_wednesday_works_on_tuesday_whatever_its_hour(cron):
    timetable = DayPartitionTimetable(cron, timezone=NEW_YORK, days_back=1)
    assert days(timetable, "2013-10-01", "2013-10-14") == ["2013-10-01", "2013-10-08"]


def test_a_world_that_has_ended_fires_nothing_for_today():
    ended = DayPartitionTimetable("0 0 * * *", timezone=NEW_YORK, first_day="2013-01-01", last_day="2013-12-31")
    going_on = DayPartitionTimetable("0 0 * * *", timezone=NEW_YORK, first_day="2013-01-01")
    assert ended.next_dagrun_info_v2(last_dagrun_info=None, restriction=FOREVER) is None
    assert going_on.next_dagrun_info_v2(last_dagrun_info=None, restriction=FOREVER) is not None


def test_days_before_the_first_are_not_made_even_where_the_cron_has_ticks():
    timetable = DayPartitionTimetable("0 0 * * *", timezone=NEW_YORK, days_back=2, first_day="2013-01-01")
    assert days(timetable, "2012-12-30", "2013-01-02") == ["2013-01-01", "2013-01-02"]


def test_days_whose_run_is_not_due_yet_are_left_out_of_a_backfill():
    timetable = DayPartitionTimetable("0 0 * * *", timezone="UTC", days_back=2)
    while True:
        today = datetime.datetime.now(tz=datetime.UTC).date()
        first, last = (today + datetime.timedelta(days=n) for n in (-3, 3))
        made = days(timetable, str(first), str(last))
        if today == datetime.datetime.now(tz=datetime.UTC).date():  # no midnight in between
            break
    assert made == [(today - datetime.timedelta(days=n)).isoformat() for n in (3, 2)]


def test_a_stored_timetable_gives_the_same_days():
    cron = DayPartitionTimetable(
        "0 0 * * 3", timezone=NEW_YORK, days_back=1, first_day="2013-01-01", last_day="2013-10-07"
    )
    asset = DayAssetTimetable(
        asset=Asset(uri="imago://dev/toy/training"),
        cron="0 0 * * 3",
        timezone=NEW_YORK,
        days_back=1,
        last_day="2013-10-07",
    )
    for timetable in (cron, asset):
        again = type(timetable).deserialize(timetable.serialize())
        assert days(again, "2013-09-20", "2013-10-14") == ["2013-09-24", "2013-10-01"]
        assert again.serialize() == timetable.serialize()
        assert again.summary == timetable.summary


def test_a_day_that_an_event_starts_and_the_same_day_of_a_backfill_are_one_partition():
    timetable = DayAssetTimetable(asset=Asset(uri="imago://dev/toy/features"), cron="0 6 * * *", timezone=NEW_YORK)
    (info,) = timetable.iter_partition_dagrun_infos(earliest=moment("2013-10-05"), latest=moment("2013-10-05"))
    assert timetable.resolve_partition_date("2013-10-05") == info.partition_date


def test_a_closed_day_has_no_run_by_the_clock_or_by_a_backfill_and_a_stored_timetable_remembers_it():
    shop = DayPartitionTimetable(
        "0 0 * * *", timezone=NEW_YORK, closed_weekdays=("sunday",), closed_days=("2013-12-25",)
    )
    expected = ["2013-12-21", "2013-12-23", "2013-12-24", "2013-12-26"]
    assert days(shop, "2013-12-21", "2013-12-26") == expected
    assert days(DayPartitionTimetable.deserialize(shop.serialize()), "2013-12-21", "2013-12-26") == expected
    every_day_closed_today = DayPartitionTimetable("0 0 * * *", timezone="UTC", closed_weekdays=("sunday", "monday"))
    info = every_day_closed_today.next_dagrun_info_v2(last_dagrun_info=None, restriction=FOREVER)
    assert datetime.date.fromisoformat(info.partition_key).isoweekday() not in (7, 1)


def test_a_cron_that_meets_closed_days_alone_gives_no_run_and_ends():
    never = DayPartitionTimetable("0 0 * * 0", timezone="UTC", closed_weekdays=("sunday",))
    assert never.next_dagrun_info_v2(last_dagrun_info=None, restriction=FOREVER) is None
    assert days(never, "2013-12-01", "2013-12-31") == []
