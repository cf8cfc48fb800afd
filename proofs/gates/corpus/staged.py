"""A wrong model: the same mutations over what dbt makes of good raw files, in dbt's own SQL and after dbt wrote it."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from proofs.gates import mutators as m
from proofs.gates.cases import Case, expect
from proofs.gates.spoiling import modelled, written

_ORDER = "order by ds, flight_key"
# The numbers among the features, and those of them of which a flipped sign shows on any day.
RATES = (
    "carrier_late_rate_28d", "carrier_late_rate_7d", "carrier_cancelled_rate_7d", "route_late_rate_28d",
    "flight_late_rate_28d", "hour_late_rate_28d", "plane_late_rate_28d", "origin_late_rate_7d", "origin_late_rate_1d",
)  # fmt: skip
POSITIVE = (
    "departure_minute", "distance_miles", "block_minutes", "origin_departures_in_hour", "plane_leg_of_day",
    "plane_gap_minutes", "plane_age_years", "plane_seats", "temperature_f", "humidity_pct", "wind_mph", "gust_mph",
    "precip_in", "visibility_miles", "pressure_mb", "plane_flights_28d",
)  # fmt: skip
NUMBERS = (*POSITIVE, *RATES, "route_mean_delay_28d")
NEVER_NULL = ("departure_minute", "distance_miles", "origin_departures_in_hour", "plane_flights_28d")


def cases() -> list[Case]:
    """All staged cases."""
    return [*_by_sql(), *_by_file(), *_each_number(), *_outcomes()]


def _sql(family: str, what: str, sql: str, columns: str | None, *rules: str, table: str = "features") -> Case:
    return Case(
        name=f"{table}, model {what}: {family}",
        family=family,
        level="staged",
        table=table,
        spoil=modelled(table, f"{sql} {_ORDER}"),
        expected=expect(columns, *rules),
    )


def _replaced(family: str, column: str, expression: str, *rules: str, table: str = "features", also: str = "") -> Case:
    sql = f"select * replace ({expression} as {column}) from final"
    return _sql(family, column, sql, f"{column} {also}", *rules, table=table)


def _by_sql() -> Iterable[Case]:
    def times(column: str) -> str:
        return f"{column} * 1000"

    yield _sql(
        "renamed column", "dest", "select * rename (dest as destination) from final", "dest destination", "shape"
    )
    yield _sql(
        "retyped column",
        "plane_seats",
        "select * replace (cast(plane_seats as integer) as plane_seats) from final",
        "plane_seats",
        "shape",
        "type",
    )
    yield _sql("missing column", "wind_mph", "select * exclude (wind_mph) from final", "wind_mph", "shape")
    yield _sql(
        "extra column",
        "arr_delay",
        "select *, cast(12 as double) as arr_delay from final",
        "arr_delay",
        "shape",
        "leak",
    )
    yield _sql("empty", "rows", "select * from final where false", None, "empty")
    yield _sql("duplicated rows", "rows", "select * from final union all select * from final", "flight_key", "unique")
    yield _sql(
        "truncated to half of the rows", "rows", "select * from final where departure_minute < 815", "-", "volume"
    )
    yield _replaced("all-null column", "carrier_late_rate_28d", "cast(null as double)", "missing")
    yield _replaced("all-null column", "distance_miles", "cast(null as double)", "not_null")
    yield _replaced(
        "NaN and infinity",
        "temperature_f",
        "case when origin = 'EWR' then cast('NaN' as double) else temperature_f end",
        "range",
    )
    yield _replaced(
        "NaN and infinity",
        "block_minutes",
        "case when dest = 'LAX' then cast('Infinity' as double) else block_minutes end",
        "range",
    )
    yield _replaced("NaN and infinity", "plane_gap_minutes", "plane_gap_minutes / 0", "range")
    yield _replaced("times 1000", "gust_mph", times("gust_mph"), "range")
    yield _replaced("times 1000", "carrier_late_rate_7d", times("carrier_late_rate_7d"), "range")
    yield _replaced("sign flip", "wind_mph", "-wind_mph", "range")
    yield _replaced("sign flip", "temperature_f", "-temperature_f", "range")
    yield _sql(
        "swapped columns",
        "origin, dest",
        "select * replace (dest as origin, origin as dest) from final",
        "origin dest",
        "values",
        "unseen",
    )
    yield _sql(
        "swapped columns",
        "pressure_mb, visibility_miles",
        "select * replace (pressure_mb as visibility_miles, visibility_miles as pressure_mb) from final",
        "pressure_mb visibility_miles",
        "range",
    )
    yield _replaced("unseen category", "weekday", "'Lun'", "values")
    yield _replaced("unseen category", "carrier", "case when carrier = 'UA' then 'QQ' else carrier end", "unseen")
    yield _replaced("mangled category: case", "dest", "lower(dest)", "pattern")
    yield _replaced("mangled category: blanks", "carrier", "carrier || ' '", "pattern")
    yield _replaced("wrong day", "ds", "'2013-11-17'", "day")
    some = "select * replace (case when dest = 'LAX' then '2013-11-19' else ds end as ds) from final"
    yield _sql("wrong day", "ds of some rows", some, "ds", "day")
    yield _replaced("future dates", "event_time", "event_time + interval '365' day", "consistent")
    yield _replaced(
        "hostile text: a page for everybody",
        "plane_maker",
        "case when dest = 'LAX' then '<!channel>' else plane_maker end",
        "pattern",
        "values",
        "unseen",
    )
    yield _replaced(
        "hostile text: SQL",
        "dest",
        "case when dest = 'LAX' then '''; drop table features; --' else dest end",
        "pattern",
        "unseen",
    )


def _file(
    family: str, what: str, mutator: m.Mutator, columns: str | None, *rules: str, table: str = "features"
) -> Case:
    return Case(
        name=f"{table}, written {what}: {family}",
        family=family,
        level="staged",
        table=table,
        spoil=written(table, mutator),
        expected=expect(columns, *rules),
    )


def _by_file() -> Iterable[Case]:
    def named(family: str, column: str, mutator: m.Mutator, *rules: str, also: str = "") -> Case:
        return _file(family, column, mutator, f"{column} {also}", *rules)

    yield named("renamed column", "carrier", m.rename("carrier", "Carrier"), "shape", also="Carrier")
    yield named("retyped column", "departure_minute", m.retype("departure_minute", pa.int64()), "type")
    yield named("retyped column", "event_time", m.retype("event_time", pa.date32()), "type")
    yield named("missing column", "plane_maker", m.drop("plane_maker"), "shape")
    yield named("extra column", "label", m.add("label", 1), "shape", "leak")
    yield named("extra column", "note", m.add("note", "x"), "shape")
    yield _file("empty", "rows", m.empty, None, "empty")
    yield _file("duplicated rows", "rows", m.repeat(), "flight_key", "unique")
    yield _file("duplicated rows", "one row", m.repeat(1), "flight_key", "unique")
    yield _file("truncated to half of the rows", "rows", m.keep(0.5), "-", "volume")
    yield named("all-null column", "flight_key", m.null("flight_key"), "not_null", "unique")
    yield named("all-null column", "event_time", m.null("event_time"), "not_null")
    yield named("all-null column", "ds", m.null("ds"), "not_null", "day", "empty", also="-")
    yield named("all-null column", "plane_maker", m.null("plane_maker"), "missing")
    yield named("unseen category", "dest", m.put("dest", "QQQ", share=0.2), "unseen")
    yield named("unseen category", "origin", m.put("origin", "SWF", share=0.002), "values")
    yield named("mangled category: case", "weekday", m.text("weekday", str.upper), "values")
    yield named("mangled category: case", "carrier", m.text("carrier", str.lower, share=0.01), "pattern")
    yield named("mangled category: blanks", "dest", m.text("dest", lambda value: f" {value}", share=0.002), "pattern")
    yield named(
        "mangled category: blanks",
        "plane_maker",
        m.text("plane_maker", lambda value: f"{value} "),
        "pattern",
        "values",
        "unseen",
    )
    yield named("wrong day", "ds", m.put("ds", "2013-11-19", share=0.01), "day")
    yield named("swapped columns", "carrier", m.swap("carrier", "dest"), "pattern", "unseen", also="dest")
    yield named(
        "swapped columns", "plane_maker", m.swap("plane_maker", "weekday"), "values", "not_null", also="weekday"
    )
    yield named(
        "swapped columns", "humidity_pct", m.swap("humidity_pct", "distance_miles"), "range", also="distance_miles"
    )
    yield named("hostile text: NUL", "dest", m.put("dest", "LA\x00", share=0.01), "pattern")
    yield named(
        "hostile text: a very long text",
        "plane_maker",
        m.put("plane_maker", "x" * 20_000, share=0.01),
        "pattern",
        "values",
        "unseen",
    )
    yield named(
        "hostile text: right-to-left marks", "carrier", m.put("carrier", "\u202eAU", share=0.01), "pattern", "unseen"
    )


def _each_number() -> Iterable[Case]:
    """Every number among the features: none of them, a thousand times too much, and by turns NaN and infinity."""
    for n, column in enumerate(NUMBERS):
        yield _file(
            "all-null column", column, m.null(column), column, "not_null" if column in NEVER_NULL else "missing"
        )
        yield _file("times 1000", column, m.scale(column, 1000), column, "range")
        value = (float("nan"), float("inf"), float("-inf"))[n % 3]
        yield _file("NaN and infinity", column, m.put(column, value, share=0.01), column, "range")
        if column in POSITIVE and n % 2 == 0:
            yield _file("sign flip", column, m.flip(column), column, "range")


def _outcomes() -> Iterable[Case]:
    def sql(family: str, column: str, expression: str, *rules: str, also: str = "") -> Case:
        return _replaced(family, column, expression, *rules, table="outcomes", also=also)

    def named(family: str, column: str, mutator: m.Mutator, *rules: str, also: str = "") -> Case:
        return _file(family, column, mutator, f"{column} {also}", *rules, table="outcomes")

    yield _sql(
        "renamed column", "label", "select * rename (label as late) from final", "label late", "shape", table="outcomes"
    )
    yield _sql("empty", "rows", "select * from final where false", None, "empty", table="outcomes")
    yield sql("retyped column", "label", "cast(label as double)", "shape", "type")
    yield sql("all-null column", "label", "cast(null as integer)", "missing", "consistent")
    yield sql("times 1000", "arr_delay", "arr_delay * 1000", "range")
    yield sql("sign flip", "arr_delay", "-arr_delay", "range", "consistent", also="label")
    yield sql("some nulls", "label", "case when arr_delay > 0 then label end", "consistent")
    yield sql("unseen category", "label", "label + 1", "values")
    yield sql("wrong day", "ds", "'2013-11-11'", "day")
    yield named("missing column", "known_at", m.drop("known_at"), "shape")
    yield named("all-null column", "cancelled", m.null("cancelled"), "not_null")
    yield named("NaN and infinity", "arr_delay", m.put("arr_delay", float("nan"), share=0.01), "range")
    yield named("duplicated rows", "flight_key", m.repeat(2), "unique")
    yield _file("truncated to half of the rows", "rows", m.keep(0.5), "-", "volume", table="outcomes")
