"""Day keys: the text `YYYY-MM-DD` that names a partition."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta

from imago.errors import ImagoError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


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
    return day_key(parse_day(ds) + timedelta(days=days))


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
