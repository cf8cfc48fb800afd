"""Day keys: the text `YYYY-MM-DD` that names a partition."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from imago.errors import ImagoError

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_day(text: str) -> date:
    """The date of a day key; anything but a real `YYYY-MM-DD` is refused before it touches a path or SQL.

    >>> parse_day("2013-02-28")
    datetime.date(2013, 2, 28)
    """
    if isinstance(text, str) and _DAY.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise ImagoError(
        f"{text!r} is not a day",
        rule="day key",
        allowed="YYYY-MM-DD",
        seen=text,
        next_step="give a day like 2013-10-02",
    )


def day_key(day: date) -> str:
    """The key of a date."""
    return day.isoformat()[:10]


def shift(ds: str, days: int) -> str:
    """The key `days` later (earlier where negative).

    >>> shift("2013-03-01", -1)
    '2013-02-28'
    """
    try:
        return day_key(parse_day(ds) + timedelta(days=days))
    except OverflowError:
        raise ImagoError(
            f"{days:+,} days from {ds} lead out of the calendar",
            rule="day key",
            allowed="0001-01-01 to 9999-12-31",
            seen=ds,
            next_step="give a day like 2013-10-02",
        ) from None


def midnight(ds: str, timezone: str) -> datetime:
    """When a day begins in its time zone, as UTC without zone. Every part of Imago takes this moment from here.

    >>> midnight("2018-11-04", "America/Sao_Paulo")  # 00:00 is skipped: clocks go from 23:59 to 01:00
    datetime.datetime(2018, 11, 4, 3, 0)
    >>> midnight("2023-11-05", "America/Havana")  # 00:00 comes twice: the day begins with the first
    datetime.datetime(2023, 11, 5, 4, 0)
    """
    try:
        return moment(datetime.combine(parse_day(ds), time()), timezone)
    except OverflowError:
        raise ImagoError(
            f"{ds} begins out of the calendar in {timezone}",
            rule="day key",
            allowed="0001-01-02 to 9999-12-30",
            seen=ds,
            next_step="give a day like 2013-10-02",
        ) from None


def moment(clock: datetime, timezone: str) -> datetime:
    """The first moment, as UTC without zone, at which a clock of the time zone shows that time, or a later one where it
    skips it."""
    zone = ZoneInfo(timezone)
    early, late = sorted(clock.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early.astimezone(zone).replace(tzinfo=None, fold=0) == clock:
        return early.replace(tzinfo=None)
    # The clock skips it, somewhere between the two: there the offset changes, at a whole second.
    offset = late.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return late.replace(tzinfo=None)


def clock_hours(instant: datetime, ds: str, timezone: str) -> float:
    """How many hours after 00:00 of a day the clock of the time zone shows at an instant (UTC, without zone): 24 at the
    next midnight, also of a day that has 23 or 25 hours.

    >>> clock_hours(datetime(2013, 3, 11, 4), "2013-03-10", "America/New_York")  # the clocks went forward in between
    24.0
    """
    local = instant.replace(tzinfo=UTC).astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
    return (local - datetime.combine(parse_day(ds), time())).total_seconds() / 3600


def days_between(first: str, last: str) -> tuple[str, ...]:
    """All day keys from `first` to `last`, both included.

    >>> days_between("2013-02-28", "2013-03-01")
    ('2013-02-28', '2013-03-01')
    """
    start, end = parse_day(first), parse_day(last)
    if end < start:
        raise ImagoError(
            f"the range {first} to {last} ends before it starts", rule="day range", next_step="swap the two days"
        )
    return tuple(day_key(start + timedelta(days=n)) for n in range((end - start).days + 1))


def spans(days: Iterable[str]) -> list[tuple[str, str]]:
    """Days as ranges of days in a row.

    >>> spans(["2013-03-01", "2013-03-02", "2013-03-05"])
    [('2013-03-01', '2013-03-02'), ('2013-03-05', '2013-03-05')]
    """
    found: list[tuple[str, str]] = []
    for ds in sorted(days):
        if found and shift(found[-1][1], 1) == ds:
            found[-1] = (found[-1][0], ds)
        else:
            found.append((ds, ds))
    return found
