"""Bad schedules: what goes wrong at the airline that plans the day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pyarrow as pa

from proofs.gates import mutators as m
from proofs.gates.cases import DAY, NEXT_WEEK, NOON, YESTERDAY, Case, raw_case
from proofs.gates.spoiling import edited, renamed_file, stale, with_rows_of


def cases() -> Iterable[Case]:
    def case(family: str, mutator: m.Mutator, columns: str | None, *rules: str, what: str = "") -> Case:
        return raw_case(family, f"schedule {what}".strip(), edited("schedule", mutator), columns, *rules)

    def named(family: str, column: str, mutator: m.Mutator, *rules: str, also: str = "") -> Case:
        return case(family, mutator, f"{column} {also}", *rules, what=column)

    yield named("renamed column", "carrier", m.rename("carrier", "airline"), "shape", also="airline")
    yield named("renamed column", "sched_dep_time", m.rename("sched_dep_time", "dep_time"), "shape", also="dep_time")
    yield named("renamed column", "known_at", m.rename("known_at", "Known_At"), "shape", also="Known_At")
    yield named("retyped column", "flight", m.retype("flight", pa.string()), "type")
    yield named("retyped column", "distance", m.retype("distance", pa.float64()), "type")
    yield named("retyped column", "event_time", m.retype("event_time", pa.string()), "type")
    yield named("retyped column", "known_at", m.retype("known_at", pa.timestamp("us", "UTC")), "type")
    yield named("missing column", "tailnum", m.drop("tailnum"), "shape")
    yield named("missing column", "dest", m.drop("dest"), "shape")
    yield named("extra column", "arr_delay", m.add("arr_delay", 12), "shape")
    yield named("extra column", "remarks", m.add("remarks", "on time"), "shape")
    yield case("empty", m.empty, None, "empty")
    yield case("duplicated rows", m.repeat(), "flight_key known_at", "unique")
    yield case("duplicated rows", m.repeat(3), "flight_key known_at", "unique", what="3 rows")
    yield case("truncated to half of the rows", m.keep(0.5), "-", "volume")
    yield case("truncated to half of the rows", m.keep(0.05), "-", "volume", what="20th part")
    for column in ("carrier", "distance", "flight_key", "event_time", "known_at"):
        yield named("all-null column", column, m.null(column), "not_null")
    yield named(
        "all-null column",
        "tailnum",
        m.null("tailnum"),
        "missing",
        also="plane_maker plane_leg_of_day plane_age_years plane_seats plane_late_rate_28d",
    )
    yield named("some nulls", "dest", m.null("dest", share=0.003), "not_null")
    yield named("times 1000", "distance", m.scale("distance", 1000), "range", also="distance_miles")
    yield named(
        "times 1000",
        "sched_dep_time",
        m.scale("sched_dep_time", 1000),
        "range",
        "consistent",
        also="departure_minute flight_key",
    )
    yield named("times 1000", "flight", m.scale("flight", 1000), "range", "consistent", also="flight_key")
    yield named("sign flip", "distance", m.flip("distance"), "range", also="distance_miles")
    yield named(
        "sign flip",
        "sched_dep_time",
        m.flip("sched_dep_time"),
        "range",
        "consistent",
        also="departure_minute flight_key",
    )
    yield named(
        "swapped columns", "origin", m.swap("origin", "dest"), "values", "pattern", "consistent", also="dest flight_key"
    )
    yield named(
        "swapped columns",
        "carrier",
        m.swap("carrier", "tailnum"),
        "pattern",
        "consistent",
        "not_null",
        also="tailnum flight_key",
    )
    yield named(
        "swapped columns",
        "sched_dep_time",
        m.swap("sched_dep_time", "sched_arr_time"),
        "range",
        "consistent",
        also="flight_key block_minutes sched_arr_time",
    )
    yield named(
        "swapped columns",
        "flight",
        m.swap("flight", "distance"),
        "range",
        "consistent",
        also="distance distance_miles flight_key",
    )
    yield named(
        "unseen category", "carrier", m.put("carrier", "ZZ", share=0.3), "unseen", "consistent", also="flight_key"
    )
    yield named("unseen category", "dest", m.put("dest", "ZZZ", share=0.3), "unseen", "values")
    yield named(
        "unseen category", "origin", m.put("origin", "PHL", share=0.01), "values", "consistent", also="flight_key"
    )
    yield named(
        "mangled category: case", "carrier", m.text("carrier", str.lower), "pattern", "consistent", also="flight_key"
    )
    yield named("mangled category: case", "dest", m.text("dest", str.lower, share=0.05), "pattern")
    yield named(
        "mangled category: case",
        "origin",
        m.text("origin", str.title, share=0.005),
        "values",
        "consistent",
        also="flight_key",
    )
    yield named(
        "mangled category: blanks",
        "carrier",
        m.text("carrier", lambda value: f"{value} "),
        "pattern",
        "consistent",
        also="flight_key",
    )
    yield named("mangled category: blanks", "dest", m.text("dest", lambda value: f"{value} ", share=0.01), "pattern")
    yield named(
        "mangled category: blanks",
        "tailnum",
        m.text("tailnum", lambda value: f"{value}  "),
        "pattern",
        "missing",
        also="plane_maker plane_age_years plane_seats",
    )
    yield named(
        "mangled category: blanks",
        "origin",
        m.text("origin", lambda value: f"\t{value}", share=0.01),
        "values",
        "consistent",
        also="flight_key",
    )
    yield raw_case("stale file", "schedule", stale("schedule", YESTERDAY), "flight_date", "day")
    yield raw_case(
        "stale file", "schedule, its date written over", stale("schedule", YESTERDAY, m.put("flight_date", DAY)),
        "flight_key event_time", "day", "consistent",
    )  # fmt: skip
    yield raw_case(
        "stale file", "schedule, its date and times moved",
        stale("schedule", YESTERDAY, m.put("flight_date", DAY), m.move("event_time", dt.timedelta(days=1))),
        "flight_key", "day", "consistent",
    )  # fmt: skip
    yield raw_case("wrong day", "schedule of the next week", stale("schedule", NEXT_WEEK), "flight_date", "day")
    yield raw_case(
        "wrong day", "schedule, 20 rows of the next week", with_rows_of("schedule", NEXT_WEEK, 20), "flight_date", "day"
    )
    yield named(
        "future dates", "event_time", m.move("event_time", dt.timedelta(days=365), share=0.02), "day", "consistent"
    )
    yield named("future dates", "flight_date", m.put("flight_date", "2031-11-18", share=0.01), "day")
    yield named("future dates", "known_at", m.put("known_at", NOON + dt.timedelta(days=400)), "delivered")
    yield raw_case(
        "late file", "schedule, at noon of the day itself",
        renamed_file("schedule", "20131118T170000Z", m.put("known_at", NOON)),
        "known_at", "delivered",
    )  # fmt: skip
    yield raw_case(
        "late file",
        "schedule, its name says another moment than its rows",
        renamed_file("schedule", "20131117T220000Z"),
        "known_at",
        "delivered",
    )
    yield named("twice the volume", "flight_key", m.doubled, "volume", "consistent", also="-")
    for what, value in m.HOSTILE.items():
        yield named(f"hostile text: {what}", "tailnum", m.put("tailnum", value, share=0.001), "pattern", "nul")
    yield named(
        "hostile text: a page for everybody", "dest", m.put("dest", "<!channel>", share=0.001), "pattern", "unseen"
    )
    yield named(
        "hostile text: SQL", "flight_key", m.put("flight_key", m.HOSTILE["SQL"], share=0.001), "pattern", "consistent"
    )
    yield named(
        "hostile text: NUL",
        "carrier",
        m.put("carrier", "U\x00", share=0.001),
        "nul",
        also="flight_key",
    )
