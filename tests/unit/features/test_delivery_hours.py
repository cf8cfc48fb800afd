"""The hours within which a raw file has to be delivered are those of the local clock, which may skip or repeat some."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imago.days import clock_hours, day_key

ZONES = ("America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Beirut", "UTC",
         "Pacific/Apia", "Africa/Cairo", "America/Havana", "Asia/Kathmandu")  # fmt: skip


@given(
    zone=st.sampled_from(ZONES),
    day=st.dates(datetime(2005, 1, 1).date(), datetime(2030, 1, 1).date()),
    minutes=st.integers(-48 * 60, 72 * 60),
)
def test_the_hours_are_what_a_clock_on_the_wall_shows(zone, day, minutes):
    wall = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minutes)
    instant = wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    shows = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if shows == wall:  # else the clock skips that time
        assert clock_hours(instant.replace(tzinfo=None), day_key(day), zone) == pytest.approx(minutes / 60)


@pytest.mark.parametrize(
    ("day", "next_midnight"),
    [
        ("2013-03-09", datetime(2013, 3, 10, 5)),
        ("2013-03-10", datetime(2013, 3, 11, 4)),  # 23 hours long
        ("2013-11-03", datetime(2013, 11, 4, 5)),  # 25 hours long
    ],
)
def test_the_next_midnight_is_24_hours_away_whatever_the_clocks_did(day, next_midnight):
    assert clock_hours(next_midnight, day, "America/New_York") == 24
    assert clock_hours(next_midnight - timedelta(minutes=1), day, "America/New_York") < 24
