"""Midnights that the clocks skip or repeat are one instant for the platform, dbt, Airflow's timetable and the
watchdog."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime

import pytest

from imago.days import midnight, moment
from imago.errors import ImagoError
from proofs.strangers import midnights


@pytest.mark.parametrize("zone", midnights.NASTY)
def test_all_parts_agree_on_the_days_around_a_change_of_the_clocks(zone: str) -> None:
    days = midnights.transitions(zone)
    for day in random.Random(zone).sample(days, min(9, len(days))):
        actual, expected = midnights.agreed(zone, day)
        assert actual == expected, day


def test_drawn_days_of_all_zones_agree() -> None:
    for case in midnights.cases(None, 60, 5):  # type: ignore[arg-type]
        actual, expected = case.run()
        assert actual == expected, case.name


@pytest.mark.parametrize(
    ("ds", "zone", "instant"),
    [
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04 03:00:00"),  # 00:00 is skipped
        ("2018-02-18", "America/Sao_Paulo", "2018-02-18 03:00:00"),  # 23:00 of the day before comes twice
        ("2023-11-05", "America/Havana", "2023-11-05 04:00:00"),  # 00:00 comes twice
        ("2010-11-07", "America/St_Johns", "2010-11-07 02:30:00"),  # 00:00 comes twice, with 23:01 in between
        ("2011-12-30", "Pacific/Apia", "2011-12-30 10:00:00"),  # the day is skipped
        ("2011-12-31", "Pacific/Apia", "2011-12-30 10:00:00"),
        ("2013-03-10", "America/New_York", "2013-03-10 05:00:00"),
    ],
)
def test_a_days_start_is_the_first_moment_of_it(ds: str, zone: str, instant: str) -> None:
    assert str(midnight(ds, zone)) == instant
    assert midnights.first_moment(zone, date.fromisoformat(ds)) == midnight(ds, zone)


def test_a_time_that_the_clocks_skip_is_the_end_of_the_gap() -> None:
    assert moment(datetime(2013, 3, 10, 2, 30), "America/New_York") == datetime(2013, 3, 10, 7, 0)


@pytest.mark.parametrize(("ds", "zone"), [("0001-01-01", "Asia/Tokyo"), ("0001-01-01", "Africa/Cairo")])
def test_a_day_at_the_end_of_the_calendar_is_refused(ds: str, zone: str) -> None:
    with pytest.raises(ImagoError, match="out of the calendar"):
        midnight(ds, zone)


@pytest.mark.parametrize(
    ("zone", "year"),
    [("America/Sao_Paulo", 2018), ("Asia/Beirut", 2022), ("America/Havana", 2023), ("Africa/Cairo", 2024)],
)
def test_each_day_runs_once_through_a_year_of_odd_midnights(zone: str, year: int) -> None:
    import pendulum

    from imago_airflow.timetable import DayPartitionTimetable

    timetable = DayPartitionTimetable("0 0 * * *", timezone=zone)
    infos = list(
        timetable.iter_partition_dagrun_infos(
            earliest=pendulum.datetime(year, 1, 1), latest=pendulum.datetime(year, 12, 31)
        )
    )
    first, after = date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()
    assert [info.partition_key for info in infos] == [date.fromordinal(n).isoformat() for n in range(first, after)]
    for info in infos:
        assert info.partition_date.astimezone(UTC).replace(tzinfo=None) == midnight(info.partition_key, zone)
