"""Features and outcomes: a day by the clock, or a range of days by the trigger form in one dbt run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from imago.context import RunContext
from imago.days import days_between
from imago.errors import ImagoError
from imago_airflow.operators.base import StageOperator, Summary
from imago_airflow.run import Run


class RefreshOperator(StageOperator):
    """Builds, audits and publishes the day's partition of `table`, and announces it.

    With `from_day` and `to_day` in the form it publishes that range in one commit instead and announces nothing itself:
    loading history must not start scoring. What the form selects is announced by the task behind it.
    """

    def __init__(self, *, table: Literal["features", "outcomes"], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        if self.table == "features":
            from imago.jobs.features import refresh
        else:
            from imago.jobs.outcomes import refresh

        params = context["params"]
        chosen = asked_range(params, ds=run.ds)
        if chosen is None:
            summary = refresh(run.environment, run.spec, run.day, run.day, run.context)
            self.announce(run, context)
            self.finish_here(context, summary)
        first, last = chosen
        # Checked before the work, so that a slip in the form does not cost a year's load.
        selected = open_among(run, selected_days(params.get("announce") or "none", first=first, last=last))
        summary = refresh(run.environment, run.spec, first, last, range_context(run, params))
        self.keep_quiet(context)
        if not selected:
            self.finish_here(context, summary)
        return summary


class AnnounceOperator(StageOperator):
    """Announces the selected days of a range that was loaded before it, so that what listens to them starts."""

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        params = context["params"]
        chosen = asked_range(params, ds=run.ds)
        if chosen is None:
            raise ImagoError("this run loaded no range", next_step="give `from_day` and `to_day` in the trigger form")
        first, last = chosen
        days = open_among(run, selected_days(params.get("announce") or "none", first=first, last=last))
        told = Run(environment=run.environment, spec=run.spec, ds=None, context=range_context(run, params))
        self.announce(told, context, days)
        return {"announced": len(days), "first": days[0], "last": days[-1], "mode": told.context.mode}


def asked_range(params: Mapping[str, Any], *, ds: str | None) -> tuple[str, str] | None:
    """The range that the form asks for, or None; half a range, or a range beside a day, is refused."""
    first, last = params.get("from_day"), params.get("to_day")
    if not first and not last:
        return None
    if not first or not last or ds:
        raise ImagoError(
            "the form is filled in by half" if not ds else "the form asks for a range and for one day",
            rule="load range",
            allowed="both `from_day` and `to_day`, without a partition key and without `ds`",
            seen={"from_day": first, "to_day": last, "day": ds},
            next_step="fill in both ends of the range, or only the day",
        )
    days_between(first, last)
    return first, last


def selected_days(text: str, *, first: str, last: str) -> tuple[str, ...]:
    """The days that `announce` names: `none`, `all`, or a list of days and `first..last` spans within the range.

    >>> selected_days("2013-10-02,2013-10-05..2013-10-06", first="2013-10-01", last="2013-10-31")
    ('2013-10-02', '2013-10-05', '2013-10-06')
    """
    text = text.strip()
    if text == "none":
        return ()
    loaded = days_between(first, last)
    if text == "all":
        return loaded
    days: set[str] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        start, _, end = part.partition("..")
        days.update(days_between(start, end or start))
    outside = sorted(days.difference(loaded))
    if outside:
        raise ImagoError(
            "announced days lie outside of the range",
            rule="announce",
            allowed=f"{first} to {last}",
            seen=", ".join(outside),
            next_step="name days of the range, `all` or `none`",
        )
    return tuple(sorted(days))


def open_among(run: Run, days: Iterable[str]) -> tuple[str, ...]:
    """The open days among those: a closed day was not published, and nothing listens for it."""
    return tuple(ds for ds in days if run.spec.calendar.is_open(ds))


def range_context(run: Run, params: Mapping[str, Any]) -> RunContext:
    """Loading a range is history unless the form says otherwise: it pages nobody."""
    if params.get("mode") in ("live", "backfill"):
        return run.context
    return dataclasses.replace(run.context, mode="backfill")
