"""Good data that looks unusual: what a gate that cries wolf would refuse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from proofs.gates import mutators as m
from proofs.gates.cases import DAY
from proofs.gates.spoiling import Spoil, Unchanged, edited
from proofs.gates.world import World

# An ordinary day of another season, so that volume is varied around two medians.
ANOTHER_DAY = "2013-06-19"
HOLIDAYS = (
    "2013-01-01", "2013-01-21", "2013-02-18", "2013-05-27", "2013-07-04", "2013-09-02", "2013-10-14", "2013-11-11",
    "2013-11-27", "2013-11-28", "2013-11-29", "2013-12-24", "2013-12-25",
)  # fmt: skip
OTHER_DAYS = (
    "2013-01-16", "2013-02-26", "2013-03-09", "2013-04-14", "2013-05-09", "2013-06-24", "2013-07-10", "2013-08-31",
    "2013-09-22", "2013-10-08", "2013-11-02", "2013-12-17",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Good:
    """One legitimate variation: in the context of `apply`, the refresh of `table` for `ds` must publish."""

    name: str
    family: str
    table: str
    apply: Spoil
    ds: str = DAY


def cases() -> list[Good]:
    """All variations."""
    return [
        *_volume(), *_newcomers(), *_days(), *_order(), *_encodings(), *_corrections(), *_nulls(), *_weather(),
        *_delays(),
    ]  # fmt: skip


def _good(family: str, what: str, apply: Spoil, *, table: str = "features", ds: str = DAY) -> Good:
    return Good(name=f"{table} of {ds}, {what}", family=family, table=table, apply=apply, ds=ds)


@contextmanager
def _as_it_is(world: World) -> Iterator[None]:
    with world.putting_back():
        yield


def _volume() -> Iterable[Good]:
    for table, kind in (("features", "schedule"), ("outcomes", "outcomes")):
        for ds in (DAY, ANOTHER_DAY):
            for percent in (-20, -15, -10, -5, 5, 10, 15, 20):
                change = edited(kind, _sized(percent / 100), ds)
                yield _good("volume within 20%", f"{percent:+d}% of the flights", change, table=table, ds=ds)


def _sized(change: float) -> m.Mutator:
    def mutated(rows: pa.Table) -> pa.Table:
        count = round(rows.num_rows * abs(change))
        chosen = m.spread(rows.num_rows, abs(change), 1)
        if change < 0:
            return rows.filter(pc.invert(chosen))
        return pa.concat_tables([rows, m.renumbered(rows.filter(chosen)).slice(0, count)])

    return mutated


def _newcomers() -> Iterable[Good]:
    # Airports of the register that New York does not fly to: hours from UTC, miles, minutes from gate to gate.
    told = (
        ("ANC", -9, 3370, 425, 0.002),
        ("ICT", -6, 1220, 200, 0.004),
        ("ELP", -7, 1905, 290, 0.006),
        ("BOI", -7, 2150, 320, 0.008),
    )
    for airport, hours, miles, minutes, share in told:
        change = edited("schedule", _flown_to(airport, hours, miles, minutes, share))
        yield _good("a new allowed airport", f"{airport} in {share:.1%} of the flights", change)
    for share in (0.002, 0.004, 0.008):
        change = edited("schedule", _carried_by("NK", share))
        yield _good("a new carrier", f"NK in {share:.1%} of the flights", change)


def _flown_to(airport: str, hours: int, miles: int, minutes: int, share: float) -> m.Mutator:
    def mutated(rows: pa.Table) -> pa.Table:
        chosen = m.spread(rows.num_rows, share, 1).to_pylist()
        arrivals = [
            _clock(departs // 100 * 60 + departs % 100 + minutes + 60 * (hours + 5)) if new else arrives
            for new, departs, arrives in zip(
                chosen, rows["sched_dep_time"].to_pylist(), rows["sched_arr_time"].to_pylist(), strict=True
            )
        ]
        rows = m.replaced(rows, "sched_arr_time", pa.array(arrivals, pa.int64()))
        return m.then(m.put("dest", airport, share=share), m.put("distance", miles, share=share))(rows)

    return mutated


def _clock(minute: int) -> int:
    return minute % 1440 // 60 * 100 + minute % 60


def _carried_by(carrier: str, share: float) -> m.Mutator:
    def mutated(rows: pa.Table) -> pa.Table:
        chosen = m.spread(rows.num_rows, share, 1).to_pylist()
        keys = [
            f"{key[:11]}{carrier}{key[13:]}" if new else key
            for new, key in zip(chosen, rows["flight_key"].to_pylist(), strict=True)
        ]
        return m.put("carrier", carrier, share=share)(m.replaced(rows, "flight_key", pa.array(keys, pa.string())))

    return mutated


def _days() -> Iterable[Good]:
    for family, days in (("a holiday", HOLIDAYS), ("another day of the year", OTHER_DAYS)):
        for ds in days:
            for table in ("features", "outcomes"):
                yield _good(family, "as it was", _as_it_is, table=table, ds=ds)


def _order() -> Iterable[Good]:
    def backwards(rows: pa.Table) -> pa.Table:
        return rows.select(rows.column_names[::-1])

    def sorted_names(rows: pa.Table) -> pa.Table:
        return rows.select(sorted(rows.column_names))

    def upside_down(rows: pa.Table) -> pa.Table:
        return rows.take(pa.array(range(rows.num_rows - 1, -1, -1)))

    kinds = (
        ("schedule", "features", DAY),
        ("weather", "features", DAY),
        ("outcomes", "outcomes", DAY),
        ("planes", "features", None),
    )
    for kind, table, ds in kinds:
        yield _good("reordered columns", f"columns of {kind} backwards", edited(kind, backwards, ds), table=table)
        yield _good("reordered rows", f"rows of {kind} backwards", edited(kind, upside_down, ds), table=table)
    yield _good("reordered columns", "columns of schedule by name", edited("schedule", sorted_names))


def _encodings() -> Iterable[Good]:
    options: dict[str, dict[str, Any]] = {
        "snappy": {"compression": "snappy"},
        "gzip": {"compression": "gzip"},
        "no compression": {"compression": "none"},
        "row groups of 50": {"row_group_size": 50},
        "no dictionaries": {"use_dictionary": False},
        "Parquet 1.0 and pages of version 2": {"version": "1.0", "data_page_version": "2.0"},
        "no statistics": {"write_statistics": False},
    }
    for kind, table in (("schedule", "features"), ("outcomes", "outcomes")):
        for what, told in options.items():
            yield _good("another encoding", f"{kind} with {what}", _encoded(kind, told), table=table)
        yield _good("another encoding", f"{kind} as pandas writes texts", _encoded(kind, {}, _large_texts), table=table)


def _encoded(kind: str, options: dict[str, Any], mutator: m.Mutator = lambda rows: rows) -> Spoil:
    @contextmanager
    def apply(world: World) -> Iterator[None]:
        with world.putting_back():
            rel = world.raw(kind, DAY)
            before = world.storage.read_bytes(rel)
            world.deliver(rel, mutator(world.read(rel)), **options)
            if world.storage.read_bytes(rel) == before:
                raise Unchanged(rel)
            yield

    return apply


def _large_texts(rows: pa.Table) -> pa.Table:
    kinds = [pa.large_string() if pa.types.is_string(field.type) else field.type for field in rows.schema]
    return rows.cast(pa.schema(zip(rows.column_names, kinds, strict=True)))


def _corrections() -> Iterable[Good]:
    moment = dt.datetime
    told = (
        (
            "outcomes of five days ago, 12 delays",
            "outcomes",
            "2013-11-13",
            "20131115T170000Z",
            12,
            m.put("arr_delay", 95),
        ),
        (
            "outcomes of three weeks ago, all of them",
            "outcomes",
            "2013-10-28",
            "20131101T090000Z",
            None,
            m.put("arr_delay", 3, share=0.2),
        ),
        (
            "schedule, 10 flights an hour later that evening",
            "schedule",
            DAY,
            "20131118T010000Z",
            10,
            m.put("distance", 700),
        ),
        ("weather, a newer forecast", "weather", DAY, "20131118T020000Z", None, m.put("temp", 55.04, share=0.5)),
    )
    for what, kind, ds, stamp, count, mutator in told:
        at = moment.strptime(stamp, "%Y%m%dT%H%M%SZ")
        yield _good("a correction", what, _corrected(kind, ds, stamp, count, m.then(mutator, m.put("known_at", at))))
    for days, count in ((3, 1), (20, 40)):
        at = moment(2013, 11, 19, 17) + dt.timedelta(days=days)
        change = m.then(m.put("arr_delay", 44), m.put("known_at", at))
        apply = _corrected("outcomes", DAY, f"{at:%Y%m%dT%H%M%SZ}", count, change)
        yield _good("a correction", f"{count} outcomes told again {days} days later", apply, table="outcomes")


def _corrected(kind: str, ds: str, stamp: str, count: int | None, mutator: m.Mutator) -> Spoil:
    @contextmanager
    def apply(world: World) -> Iterator[None]:
        with world.putting_back():
            rows = world.read(world.raw(kind, ds))
            if kind == "outcomes":
                rows = rows.filter(pc.is_valid(rows["arr_delay"]))
            world.deliver(f"raw/{kind}/ds={ds}/{stamp}.parquet", mutator(rows.slice(0, count)))
            yield

    return apply


def _nulls() -> Iterable[Good]:
    yield _good(
        "more nulls within the caps", "2% of the tail numbers", edited("schedule", m.null("tailnum", share=0.02))
    )
    yield _good(
        "more nulls within the caps", "two hours of temperature", edited("weather", m.null("temp", share=2 / 72))
    )
    yield _good(
        "more nulls within the caps", "a third of the pressures", edited("weather", m.null("pressure", share=1 / 3))
    )
    yield _good("more nulls within the caps", "no gust at all", edited("weather", m.null("wind_gust")))
    yield _good(
        "more nulls within the caps",
        "one more plane in fifty unknown",
        edited("planes", m.null("seats", share=0.02), None),
    )
    yield _good(
        "more nulls within the caps",
        "30 more flights cancelled",
        edited("outcomes", _cancelled(0.03)),
        table="outcomes",
    )


def _weather() -> Iterable[Good]:
    def calm(rows: pa.Table) -> pa.Table:
        return m.then(m.put("wind_speed", 0.0), m.null("wind_gust"))(rows)

    def storm(rows: pa.Table) -> pa.Table:
        return m.then(
            m.put("wind_speed", 58.0), m.put("wind_gust", 79.0), m.put("pressure", 960.8), m.put("humid", 93.0)
        )(rows)

    def cold(by: float) -> Callable[[pa.Table], pa.Table]:
        return m.then(m.shifted("temp", by, 1), m.shifted("dewp", by, 1))

    told: dict[str, m.Mutator] = {
        "a cold night of January (about 5 F)": cold(-53),
        "a day of July (about 102 F)": cold(38),
        "a hurricane's winds and pressure": storm,
        "fog all day": m.then(m.put("visib", 0.06), m.put("humid", 100.0)),
        "a cloudburst of three inches in an hour": m.put("precip", 3.0, share=0.05),
        "rain in every hour": m.put("precip", 0.35),
        "no wind at all": calm,
        "high pressure of January": m.shifted("pressure", 32, 1),
    }
    for what, mutator in told.items():
        yield _good("extreme but real weather", what, edited("weather", mutator))


def _delays() -> Iterable[Good]:
    for share in (0.15, 0.4, 0.55):
        change = edited("outcomes", _cancelled(share))
        yield _good("a day of many cancellations", f"{share:.0%} cancelled", change, table="outcomes")
    late = m.then(m.put("arr_delay", 1270, share=0.002), m.put("dep_delay", 1285, share=0.002))
    yield _good("long delays", "a delay of 21 hours", edited("outcomes", _arrived(late)), table="outcomes")
    slow = m.shifted("arr_delay", 90, 1)
    yield _good("long delays", "all 90 minutes later", edited("outcomes", slow), table="outcomes")


def _cancelled(share: float) -> m.Mutator:
    return m.then(
        m.put("cancelled", True, share=share), m.put("diverted", False, share=share),
        m.null("dep_delay", share=share), m.null("arr_delay", share=share),
    )  # fmt: skip


def _arrived(mutator: m.Mutator) -> m.Mutator:
    """The mutator over the flights that arrived only."""

    def mutated(rows: pa.Table) -> pa.Table:
        there = pc.is_valid(rows["arr_delay"])
        return pa.concat_tables([mutator(rows.filter(there)), rows.filter(pc.invert(there))])

    return mutated
