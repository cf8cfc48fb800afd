"""Bad outcomes of the day itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pyarrow as pa

from proofs.gates import mutators as m
from proofs.gates.cases import DAY, NEXT_WEEK, YESTERDAY, Case, raw_case
from proofs.gates.spoiling import Spoil, edited, never_came, renamed_file, stale, with_rows_of


def cases() -> Iterable[Case]:
    def case(family: str, column: str, mutator: m.Mutator, *rules: str, also: str = "") -> Case:
        columns = f"{column} {also}" if column else also or None
        return raw_case(
            family, f"outcomes {column}".strip(), edited("outcomes", mutator), columns, *rules, table="outcomes"
        )

    def put(family: str, what: str, spoil: Spoil, columns: str | None, *rules: str) -> Case:
        return raw_case(family, what, spoil, columns, *rules, table="outcomes")

    yield case("renamed column", "arr_delay", m.rename("arr_delay", "arrival_delay"), "shape", also="arrival_delay")
    yield case("retyped column", "arr_delay", m.retype("arr_delay", pa.float64()), "type")
    yield case("retyped column", "cancelled", m.retype("cancelled", pa.int64()), "type")
    yield case("missing column", "cancelled", m.drop("cancelled"), "shape")
    yield case("missing column", "diverted", m.drop("diverted"), "shape")
    yield case("extra column", "reason", m.add("reason", "weather"), "shape")
    yield case("empty", "", m.empty, "empty", also="-")
    yield case("duplicated rows", "flight_key", m.repeat(), "unique", also="known_at")
    yield case("truncated to half of the rows", "", m.keep(0.5), "volume", also="-")
    yield case("twice the volume", "", m.doubled, "volume", also="-")
    yield case("all-null column", "arr_delay", m.null("arr_delay"), "missing", "consistent", also="label")
    yield case("all-null column", "cancelled", m.null("cancelled"), "not_null")
    yield case("some nulls", "arr_delay", m.null("arr_delay", share=0.7), "missing", "consistent", also="label")
    yield case("times 1000", "arr_delay", m.scale("arr_delay", 1000), "range")
    yield case("another unit", "arr_delay", m.scale("arr_delay", 60), "range")
    yield case("sign flip", "arr_delay", m.flip("arr_delay"), "range")
    yield case(
        "swapped columns",
        "cancelled",
        m.swap("cancelled", "diverted"),
        "consistent",
        also="diverted dep_delay arr_delay",
    )
    yield case(
        "swapped columns",
        "dep_delay",
        m.swap("dep_delay", "arr_delay"),
        "consistent",
        also="arr_delay diverted cancelled",
    )
    yield case(
        "swapped columns",
        "flight",
        m.swap("flight", "sched_dep_time"),
        "consistent",
        "range",
        also="sched_dep_time flight_key",
    )
    yield put("stale file", "outcomes", stale("outcomes", YESTERDAY), "flight_date", "day")
    yield put(
        "stale file", "outcomes, its date written over", stale("outcomes", YESTERDAY, m.put("flight_date", DAY)),
        "flight_key event_time", "day", "consistent",
    )  # fmt: skip
    yield put("wrong day", "outcomes of the next week", stale("outcomes", NEXT_WEEK), "flight_date", "day")
    yield put(
        "wrong day",
        "outcomes, 10 rows of the day before",
        with_rows_of("outcomes", YESTERDAY, 10),
        "flight_date",
        "day",
    )
    yield case(
        "future dates", "event_time", m.move("event_time", dt.timedelta(days=365), share=0.02), "day", "consistent"
    )
    yield put(
        "future dates", "outcomes told before they happened",
        renamed_file("outcomes", "20131118T110000Z", m.put("known_at", dt.datetime(2013, 11, 18, 11))),
        "known_at", "delivered",
    )  # fmt: skip
    yield case("future dates", "known_at", m.put("known_at", dt.datetime(2031, 1, 1)), "delivered")
    yield case(
        "hostile text: SQL", "flight_key", m.put("flight_key", m.HOSTILE["SQL"], share=0.001), "pattern", "consistent"
    )
    yield case(
        "hostile text: NUL",
        "flight_key",
        m.text("flight_key", lambda value: value + "\x00", share=0.001),
        "nul",
    )
    yield put("a file that never came", "outcomes", never_came("outcomes"), None, "arrived")
