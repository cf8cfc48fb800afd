"""The days on which a model's world is open: a closed day has no rows, no run and no deadline.

A closed day is stated in the spec, by its weekday or by its date. It has no partition: nothing is built, scored or
measured for it, and nothing is missing. `Training` counts open days; trailing windows in SQL and the label's delay
count calendar days, as clocks do. A day that is open and has no rows all the same is published empty, where the
contract allows it (`volume.at_least: 0`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import field_validator

from imago.days import days_between, parse_day, shift, spans
from imago.errors import ClosedDay, ImagoError
from imago.specs.part import Part

if TYPE_CHECKING:
    from imago.specs.model import ModelSpec

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Value = TypeVar("Value")
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Calendar(Part):
    """Which days are closed: all of a weekday, and single dates (holidays are named by their dates).

    >>> shop = Calendar(closed_weekdays=("sunday",), closed_days=("2013-12-25",))
    >>> shop.open_days("2013-12-21", "2013-12-26")
    ('2013-12-21', '2013-12-23', '2013-12-24', '2013-12-26')
    >>> shop.back("2013-12-26", 3)
    '2013-12-23'
    """

    closed_weekdays: tuple[Weekday, ...] = ()
    closed_days: tuple[str, ...] = ()

    @field_validator("closed_weekdays")
    @classmethod
    def _leaves_a_weekday(cls, value: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
        if len(set(value)) == len(WEEKDAYS):
            raise ValueError("allowed: at most six weekdays, or no day would be open")
        return _each_once(value)

    @field_validator("closed_days")
    @classmethod
    def _are_days(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for ds in value:
            try:
                parse_day(ds)
            except ImagoError:
                raise ValueError(f"allowed: days as YYYY-MM-DD, but {ds!r} is none") from None
        return _each_once(value)

    def why_closed(self, ds: str) -> str | None:
        """Why a day is closed, in words; None for an open day.

        >>> Calendar(closed_weekdays=("sunday",)).why_closed("2013-12-22")
        '2013-12-22 is a sunday, which the calendar closes'
        """
        weekday = WEEKDAYS[parse_day(ds).weekday()]
        if ds in self.closed_days:
            return f"{ds} is a closed date of the calendar"
        if weekday in self.closed_weekdays:
            return f"{ds} is a {weekday}, which the calendar closes"
        return None

    def is_open(self, ds: str) -> bool:
        """Whether a day has a partition."""
        return self.why_closed(ds) is None

    def open_days(self, first: str, last: str) -> tuple[str, ...]:
        """The open days from `first` to `last`, both included; none where all of them are closed."""
        return tuple(ds for ds in days_between(first, last) if self.is_open(ds))

    def closed_between(self, first: str, last: str) -> tuple[str, ...]:
        """The closed days from `first` to `last`, both included."""
        return tuple(ds for ds in days_between(first, last) if not self.is_open(ds))

    def latest(self, ds: str) -> str:
        """`ds` where it is open, else the last open day before it."""
        while not self.is_open(ds):
            ds = shift(ds, -1)
        return ds

    def earliest(self, ds: str) -> str:
        """`ds` where it is open, else the first open day after it."""
        while not self.is_open(ds):
            ds = shift(ds, 1)
        return ds

    def back(self, last: str, count: int) -> str:
        """The first of the `count` (1 or more) open days that end at `last`, or at the last open day before it."""
        if self == Calendar():
            return shift(last, 1 - count)
        ds = self.latest(last)
        for _ in range(count - 1):
            ds = self.latest(shift(ds, -1))
        return ds


def open_days(spec: ModelSpec, first: str, last: str) -> tuple[str, ...]:
    """The days from `first` to `last` on which the model's world is open."""
    return spec.calendar.open_days(first, last)


def holes(spec: ModelSpec, days: Collection[str]) -> list[tuple[str, str]]:
    """The ranges of open days that are missing between the first and the last of `days`."""
    return spans(set(open_days(spec, min(days), max(days))) - set(days)) if days else []


def require_open(spec: ModelSpec, first: str, last: str | None = None, *, environment: str | None = None) -> None:
    """Raises ClosedDay for a day, or a range of days, that is closed as a whole."""
    last = last or first
    if open_days(spec, first, last):
        return
    why = spec.calendar.why_closed(first) if first == last else f"every day from {first} to {last} is closed"
    raise ClosedDay(
        f"{why}: nothing is built, scored or measured on it",
        environment=environment,
        model=spec.name,
        partition=first if first == last else f"{first}..{last}",
        rule="calendar",
        allowed="an open day",
        seen=", ".join((*spec.calendar.closed_weekdays, *spec.calendar.closed_days)),
        next_step=f"name an open day, as {spec.calendar.latest(first)}; where the day should be open, correct "
        "`calendar` in the spec",
    )


def counted(spec: ModelSpec, first: str, last: str) -> str:
    """How many days a range has, in words: calendar days and open days where they differ.

    The range 2013-12-22 to 2013-12-24 of a world that is closed on Sundays is "2 open days of 3".
    """
    of_all, of_open = len(days_between(first, last)), len(open_days(spec, first, last))
    if of_all == of_open:
        return f"{of_all} day{'' if of_all == 1 else 's'}"
    return f"{of_open} open day{'' if of_open == 1 else 's'} of {of_all}"


def _each_once(values: tuple[Value, ...]) -> tuple[Value, ...]:
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"each once, but {', '.join(twice)} stands twice")
    return values
