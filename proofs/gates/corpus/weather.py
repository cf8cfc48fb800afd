"""Bad weather files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pyarrow as pa

from proofs.gates import mutators as m
from proofs.gates.cases import DAY, NEXT_WEEK, NOON, YESTERDAY, Case, raw_case
from proofs.gates.spoiling import edited, stale


def cases() -> Iterable[Case]:
    names = {
        "temp": "temperature_f", "humid": "humidity_pct", "wind_speed": "wind_mph gust_mph", "wind_gust": "gust_mph",
        "precip": "precip_in", "pressure": "pressure_mb", "visib": "visibility_miles", "dewp": "temp",
    }  # fmt: skip

    def case(family: str, column: str, mutator: m.Mutator, *rules: str, also: str = "") -> Case:
        columns = f"{column} {names.get(column, '')} {also}"
        return raw_case(family, f"weather {column}", edited("weather", mutator), columns, *rules)

    def whole(family: str, mutator: m.Mutator, columns: str | None, *rules: str, what: str = "") -> Case:
        return raw_case(family, f"weather {what}".strip(), edited("weather", mutator), columns, *rules)

    measured = "temperature_f humidity_pct wind_mph gust_mph precip_in visibility_miles pressure_mb"
    yield case("renamed column", "temp", m.rename("temp", "temperature"), "shape", also="temperature")
    yield case("retyped column", "temp", m.retype("temp", pa.string()), "type")
    yield case("retyped column", "wind_speed", m.retype("wind_speed", pa.float32()), "type")
    yield case("retyped column", "hour_at", m.retype("hour_at", pa.string()), "type")
    yield case("missing column", "visib", m.drop("visib"), "shape")
    yield case("extra column", "station", m.add("station", "KEWR"), "shape")
    yield whole("empty", m.empty, None, "empty")
    yield whole("duplicated rows", m.repeat(), "origin hour_at known_at", "unique")
    yield whole("truncated to half of the rows", m.keep(0.5), f"- {measured}", "missing", "volume")
    for column in ("temp", "humid", "wind_speed", "precip", "visib", "pressure"):
        yield case("all-null column", column, m.null(column), "missing", "not_null")
    yield case("all-null column", "hour_at", m.null("hour_at"), "not_null")
    yield case("NaN and infinity", "temp", m.put("temp", float("nan")), "range")
    yield case("NaN and infinity", "humid", m.put("humid", float("nan"), share=0.5), "range")
    yield case("NaN and infinity", "pressure", m.put("pressure", float("inf"), share=0.5), "range")
    yield case("NaN and infinity", "visib", m.put("visib", float("-inf"), share=0.5), "range")
    yield case("NaN and infinity", "wind_gust", m.put("wind_gust", float("inf"), share=0.5), "range", "missing")
    for column in ("temp", "humid", "pressure", "visib"):
        yield case("times 1000", column, m.scale(column, 1000), "range")
    yield case("times 1000", "wind_speed", m.scale("wind_speed", 1000), "range", "missing")
    for column in ("temp", "humid", "wind_speed", "pressure", "visib"):
        yield case("sign flip", column, m.flip(column), "range")
    yield case("sign flip", "precip", m.flip("precip"), "range")
    yield case("another unit", "temp", lambda rows: m.shifted("temp", 459.67, 5 / 9)(rows), "range")  # kelvin
    yield case("another unit", "pressure", m.scale("pressure", 0.02953), "range")  # inches of mercury
    yield case("swapped columns", "temp", m.swap("temp", "pressure"), "range", also="pressure pressure_mb")
    yield case("swapped columns", "humid", m.swap("humid", "pressure"), "range", also="pressure pressure_mb")
    yield case("swapped columns", "visib", m.swap("visib", "precip"), "range", also="precip precip_in")
    yield case(
        "swapped columns",
        "wind_gust",
        m.swap("wind_gust", "wind_speed"),
        "missing",
        "consistent",
        also="wind_speed wind_mph",
    )
    yield case("swapped columns", "wind_dir", m.swap("visib", "wind_dir"), "range", also="visib")
    yield case("unseen category", "origin", m.put("origin", "BOS", share=0.3), "values", "missing", also=measured)
    yield case("mangled category: case", "origin", m.text("origin", str.lower), "values", "missing", also=measured)
    yield case(
        "mangled category: blanks",
        "origin",
        m.text("origin", lambda value: f"{value} "),
        "values",
        "missing",
        also=measured,
    )
    yield raw_case("stale file", "weather", stale("weather", YESTERDAY), "flight_date", "day")
    yield raw_case(
        "stale file", "weather, its date written over", stale("weather", YESTERDAY, m.put("flight_date", DAY)),
        f"hour_at {measured}", "day", "consistent", "missing",
    )  # fmt: skip
    yield raw_case("wrong day", "weather of the next week", stale("weather", NEXT_WEEK), "flight_date", "day")
    yield case(
        "future dates",
        "hour_at",
        m.move("hour_at", dt.timedelta(days=365)),
        "day",
        "consistent",
        "missing",
        also=measured,
    )
    yield case(
        "wrong day", "hour_at", m.move("hour_at", -dt.timedelta(hours=5)), "day", "consistent", "missing", also=measured
    )
    yield case("future dates", "known_at", m.put("known_at", NOON), "delivered", also=measured)
