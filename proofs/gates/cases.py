"""What a case is, what counts as refused, and what was seen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from imago.errors import ImagoError
from proofs.gates.world import World

# The good day that is spoiled: 51 to 67 F, rain in the night, wind in every hour, gusts, cancelled and diverted
# flights, delays of up to 262 minutes. A changed sign or unit shows on such a day; it would not on a still, dry one.
DAY = "2013-11-18"
YESTERDAY, NEXT_WEEK = "2013-11-17", "2013-11-25"
TWO_DAYS_AGO, LAST_WEEK, TEN_DAYS_AGO = "2013-11-16", "2013-11-11", "2013-11-08"
# Noon of the day in New York, twelve hours after its features are due (UTC).
NOON = dt.datetime(2013, 11, 18, 17)

# The families of rules, by the names that refusals give them. A case names families; each name stands in one place.
RULES: dict[str, frozenset[str]] = {
    "shape": frozenset({"all of the contract's columns", "only the contract's columns", "column is there", "contract"}),
    "type": frozenset({"type", "contract"}),
    "leak": frozenset({"no outcome among the features"}),
    "not_null": frozenset({"not null", "not_null"}),
    "values": frozenset({"allowed values"}),
    "pattern": frozenset({"pattern"}),
    "nul": frozenset({"text without NUL"}),
    "range": frozenset({"range"}),
    "unique": frozenset({"unique key", "unique", "unique_together"}),
    "day": frozenset({"a file's own day is the day of its folder", "same_as", "only the asked days", "in_run"}),
    "empty": frozenset({"rows > 0", "not_empty"}),
    "missing": frozenset({"max_missing"}),
    "unseen": frozenset({"max_unseen"}),
    "volume": frozenset({"volume", "of_weekday"}),
    "checksum": frozenset({"checksum"}),
    "readable": frozenset({"readable Parquet"}),
    "delivered": frozenset({"delivered", "known_at is the delivery in the file's name"}),
    "arrived": frozenset({"every raw file is there"}),
    # Rules between columns, as the contracts name them.
    "consistent": frozenset(
        {
            "tells its row",
            "tells its day",
            "lies within its day",
            "agrees with event_time",
            "agrees with the distance",
            "agrees with temperature and dew point",
            "only after a first leg",
            "only of a plane that flew",
            "not below the wind",
            "not above the temperature",
            "none when cancelled",
            "none when cancelled or diverted",
            "told unless cancelled or diverted",
            "follows from arr_delay",
            "not before the departure",
        }
    ),
}
# One thing by its names: in the raw file, in staging, among the features.
_NAMES = (
    {"tailnum", "tail_number"},
    {"flight", "flight_number"},
    {"sched_dep_time", "departure_minute"},
    {"sched_arr_time", "arrival_minute"},
    {"distance", "distance_miles"},
    {"temp", "temperature_f"},
    {"dewp", "dew_point_f"},
    {"humid", "humidity_pct"},
    {"wind_speed", "wind_mph"},
    {"wind_gust", "gust_mph"},
    {"precip", "precip_in"},
    {"visib", "visibility_miles"},
    {"pressure", "pressure_mb"},
    {"arr_delay", "arrival_delay"},
    {"dep_delay", "departure_delay"},
    {"year", "built_year"},
    {"manufacturer", "maker"},
    {"faa", "airport"},
    {"tz", "utc_offset_hours"},
    {"known_at", "known_from"},
)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Where a refusal must point: one of these columns (None: the whole file or day) and one of these rules."""

    columns: frozenset[str | None]
    rules: frozenset[str]

    def wrong(self, error: BaseException, *, table: str, ds: str) -> str | None:
        """Why an error is not the expected refusal; None when it is."""
        if not isinstance(error, ImagoError):
            return f"{type(error).__name__} instead of a refusal: {str(error)[:300]}"
        facts = error.facts
        column = facts.get("column")
        given: set[str | None] = {None} if column is None else {*str(column).split(", ")}
        if not given <= self.columns or facts.get("rule") not in self.rules:
            return (
                f"refused for {facts.get('column')}: {facts.get('rule')}, expected "
                f"{_listed(self.columns)}: {_listed(self.rules)} ({str(error)[:300]})"
            )
        if facts.get("environment") != "dev" or facts.get("table") != table or not error.next_step:
            return f"environment, table or next step are missing: {error}"
        if facts.get("partition") not in (ds, None):
            return f"the partition {facts.get('partition')} is named instead of {ds}"
        return None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bad input: `spoil` is a context in which the refresh of `table` for `ds` finds it."""

    name: str
    family: str
    level: Literal["raw", "staged"]
    table: str
    spoil: Callable[[World], AbstractContextManager[None]]
    expected: Expected
    ds: str = DAY


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one case showed. `why` says where it falls short; `seen` is the refusal or the summary, for the reader."""

    part: str
    name: str
    family: str
    passed: bool
    why: str = ""
    seen: str = ""
    column: str | None = None
    rule: str | None = None
    seconds: float = 0.0
    warnings: tuple[dict[str, Any], ...] = ()


def expect(columns: str | None, *families: str) -> Expected:
    """`expect("temp temperature_f", "range")`: one of these columns (`-`, None: no column), one of these rules."""
    named: frozenset[str | None] = frozenset([None] if columns is None else columns.split())
    if "-" in named:
        named = (named - {"-"}) | {None}
    for names in _NAMES:
        if named & names:
            named |= names
    return Expected(columns=named, rules=frozenset(rule for family in families for rule in RULES[family]))


def raw_case(
    family: str,
    what: str,
    spoil: Callable[[World], AbstractContextManager[None]],
    columns: str | None,
    *rules: str,
    table: str = "features",
) -> Case:
    """A bad raw file and where its refusal points."""
    return Case(
        name=f"{table}, raw {what}: {family}",
        family=family,
        level="raw",
        table=table,
        spoil=spoil,
        expected=expect(columns, *rules),
    )


def _listed(names: frozenset[Any]) -> str:
    return " or ".join(sorted(map(str, names)))
