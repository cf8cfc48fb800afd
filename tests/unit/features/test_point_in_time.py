"""Point in time, twice: no value of an event after T, and none that became known after T, with planted rows.

T is 00:00 in New York of each day around 10 March 2013, when clocks go forward: 05:00 UTC until then, 04:00 UTC after.
Every raw kind has one row that is delivered late, or is told otherwise by a correction, at a moment around a T.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from imago.context import RunContext
from imago.days import days_between, shift
from imago.environments import Environment
from imago.errors import RefusedPartition
from imago.jobs import features, outcomes
from imago.landing.deliver import write_delivery
from imago.landing.flights import known_at, new_york
from imago.specs import get_model
from imago.storage import Storage, checksum_of
from imago.tables import Table

CONTEXT = RunContext(run_id="test")
BEGINS = "2013-03-05"
DAYS = days_between("2013-03-09", "2013-03-12")
SPEC = get_model("flight_delays").model_copy(update={"first_day": BEGINS})
SECOND = timedelta(seconds=1)
TOLD = "2013-03-07"  # whose outcomes all four days read

# Of each kind: which row is planted (column and value; the first such row of a file), by how much its value is another
# than the truth (nothing that a contract would refuse), and which features can hear it.
PLANTS: dict[str, dict[str, Any]] = {
    "schedule": {
        "row": ("dest", "ATL"),
        "tells": {"distance": 7},
        "heard": {"distance_miles", "origin_departures_in_hour", "plane_leg_of_day", "plane_gap_minutes"},
    },
    "weather": {
        "row": ("origin", "LGA"),
        "tells": {"temp": 0.125, "pressure": 0.125},
        "heard": {
            *("temperature_f", "humidity_pct", "wind_mph", "gust_mph", "precip_in", "visibility_miles", "pressure_mb")
        },
    },
    "outcomes": {
        "row": ("dest", "ATL"),
        "tells": {"arr_delay": 240},
        "heard": {
            *("carrier_late_rate_28d", "carrier_late_rate_7d", "carrier_cancelled_rate_7d", "route_late_rate_28d"),
            *("route_mean_delay_28d", "flight_late_rate_28d", "hour_late_rate_28d", "plane_late_rate_28d"),
            *("plane_flights_28d", "origin_late_rate_7d", "origin_late_rate_1d"),
        },
    },
    "planes": {
        "row": ("tailnum", "N328AA"),  # flies on each of the four days
        "tells": {"seats": 500},
        "heard": {"plane_maker", "plane_age_years", "plane_seats"},
    },
    "airports": {"row": ("faa", "SYR"), "tells": {"tz": -1}, "heard": {"block_minutes"}},
}
DAILY = ("schedule", "weather", "outcomes")
# The hour of the weather row has to be one in which somebody departs.
HOUR = {"weather": 12}


def midnight(ds: str) -> datetime:
    """T of a day, UTC."""
    return new_york(ds, 0)


@pytest.fixture(scope="module")
def world(postgres_url, kept_manifests, tmp_path_factory) -> Iterator[Environment]:
    """The environment dev with the raw files of eight real days."""
    from imago.jobs.landing import land
    from imago.ledger import migrate

    folder = tmp_path_factory.mktemp("point-in-time")
    env = Environment(
        name="dev",
        storage_root=str(folder / "storage"),
        ledger_url=postgres_url,
        ledger_schema=f"t_{uuid.uuid4().hex[:10]}",
        mlflow_uri=f"sqlite:///{folder}/mlflow.db",
        registry_prefix="dev.",
        dbt_target="dev",
        alert_channel="#imago-dev",
    )
    migrate(env)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGO_HOME", str(kept_manifests))
        land(env, BEGINS, DAYS[-1], CONTEXT)
        yield env


@pytest.fixture(scope="module")
def untouched(world) -> dict[str, dict[str, dict[str, Any]]]:
    """The features of the four days without any plant."""
    return built(world)


def built(env: Environment, days: tuple[str, ...] = DAYS) -> dict[str, dict[str, dict[str, Any]]]:
    """The features of a range after a real refresh: rows by day and key."""
    features.refresh(env, SPEC, days[0], days[-1], CONTEXT)
    found: dict[str, dict[str, dict[str, Any]]] = {ds: {} for ds in days}
    for row in Table(env, SPEC.name, "features").read(days).to_pylist():
        found[row["ds"]][row["flight_key"]] = row
    return found


def heard(before: dict[str, Any], after: dict[str, Any]) -> dict[str, set[str]]:
    """The days on which anything changed, by the raw kind that the changed features are made of."""
    found: dict[str, set[str]] = {}
    for ds in after:
        if before[ds].keys() != after[ds].keys():
            found.setdefault("schedule", set()).add(ds)
        for key in before[ds].keys() & after[ds].keys():
            for column, value in after[ds][key].items():
                if value != before[ds][key][column]:
                    kind = next(kind for kind, plant in PLANTS.items() if column in plant["heard"])
                    found.setdefault(kind, set()).add(ds)
    return found


def only_file(env: Environment, kind: str, ds: str) -> str:
    """The landed file of a kind, for daily ones that of the day."""
    folder = f"raw/{kind}/ds={ds}" if kind in DAILY else f"raw/{kind}"
    (name,) = [name for name in Storage(env).list(folder) if name.endswith(".parquet")]
    return name


def planted_row(rows: pa.Table, kind: str, ds: str) -> pa.ChunkedArray:
    """True for the one row of a file that is planted."""
    column, value = PLANTS[kind]["row"]
    found = pc.equal(rows[column], value)
    for name in PLANTS[kind]["tells"]:
        found = pc.and_(found, pc.is_valid(rows[name]))
    if kind in HOUR:
        found = pc.and_(found, pc.equal(rows["hour_at"], new_york(ds, HOUR[kind])))
    first = pc.index(found, True).as_py()
    assert first >= 0, (kind, ds)
    return pa.chunked_array([pa.array([place == first for place in range(rows.num_rows)])])


def told(rows: pa.Table, moment: datetime, **more: float) -> pa.Table:
    """Rows as another delivery tells them: at another moment, with numbers that are larger by so much."""
    known = pa.array([moment] * len(rows), pa.timestamp("us"))
    rows = rows.set_column(rows.schema.get_field_index("known_at"), "known_at", known)
    for name, by in more.items():
        field = rows.schema.field(name)
        rows = rows.set_column(rows.schema.get_field_index(name), field, pc.add(rows[name], pa.scalar(by, field.type)))
    return rows


def delivery(env: Environment, kind: str, ds: str, moment: datetime) -> dict[str, pa.Table]:
    """A second delivery of the planted row, with another value."""
    name = only_file(env, kind, ds)
    rows = Storage(env).read_parquet(name)
    row = rows.filter(planted_row(rows, kind, ds))
    return {f"{name.rsplit('/', 1)[0]}/{moment:%Y%m%dT%H%M%SZ}.parquet": told(row, moment, **PLANTS[kind]["tells"])}


def retold(env: Environment, kind: str, ds: str) -> dict[str, pa.Table]:
    """The landed file as if the planted row had come with its other value at once."""
    name = only_file(env, kind, ds)
    rows = Storage(env).read_parquet(name)
    planted = planted_row(rows, kind, ds)
    row = told(rows.filter(planted), rows["known_at"][0].as_py(), **PLANTS[kind]["tells"])
    return {name: pa.concat_tables([rows.filter(pc.invert(planted)), row])}


def without_row(env: Environment, kind: str, ds: str) -> dict[str, pa.Table]:
    """The landed file as if the planted row had not come with it."""
    name = only_file(env, kind, ds)
    rows = Storage(env).read_parquet(name)
    return {name: rows.filter(pc.invert(planted_row(rows, kind, ds)))}


@contextmanager
def landed(env: Environment, files: dict[str, pa.Table | None]) -> Iterator[None]:
    """Writes files as deliveries are written (None takes one away), and afterwards puts back what was there."""
    storage = Storage(env)
    names = [path for name in files for path in (name, checksum_of(name))]
    there = {name: storage.read_bytes(name) for name in names if storage.exists(name)}
    try:
        for name, rows in files.items():
            if rows is None:
                storage.delete(name)
                storage.delete(checksum_of(name))
            else:
                write_delivery(storage, name, rows)
        yield
    finally:
        for name in names:
            storage.delete(name)
            if name in there:
                storage.write_bytes(name, there[name])


@pytest.mark.parametrize("late", [timedelta(0), SECOND], ids=["known at T", "known a second after T"])
@pytest.mark.parametrize("ds", ["2013-03-10", "2013-03-11"])
@pytest.mark.parametrize("sort", ["correction", "late delivery"])
def test_a_value_is_heard_from_the_first_moment_at_which_it_is_known_and_not_before(world, untouched, sort, ds, late):
    moment = midnight(ds) + late
    days = {kind: ds if kind in ("schedule", "weather") else TOLD for kind in PLANTS}
    plants: dict[str, pa.Table] = {}
    for kind, day in days.items():
        plants |= delivery(world, kind, day, moment)
    before = untouched
    rest: dict[str, pa.Table] = {}
    if sort == "late delivery":
        for kind, day in days.items():
            rest |= without_row(world, kind, day)
        with landed(world, rest):
            before = built(world)

    with landed(world, {**rest, **plants}):
        after = built(world)

    first = ds if not late else shift(ds, 1)
    lasting = {day for day in DAYS if day >= first}
    its_day = {ds} if not late else set()
    expected = {
        "schedule": its_day, "weather": its_day, "outcomes": lasting, "planes": lasting, "airports": lasting,
    }  # fmt: skip
    assert heard(before, after) == {kind: found for kind, found in expected.items() if found}
    if not late:
        # From then on it is as if it had been told so from the start: neither both versions count, nor the first.
        instead: dict[str, pa.Table] = {}
        for kind, day in days.items():
            instead |= retold(world, kind, day)
        with landed(world, instead):
            at_once = built(world)
        assert {day: after[day] == at_once[day] for day in lasting} == dict.fromkeys(lasting, True)


@pytest.mark.parametrize("ds", DAYS)
def test_no_event_of_the_day_itself_or_later_nor_any_outcome_of_the_day_before_is_heard(world, untouched, ds):
    storage, other = Storage(world), {}
    for day in days_between(shift(ds, -1), DAYS[-1]):
        for kind in DAILY if day > ds else ("outcomes",):
            name = only_file(world, kind, day)
            rows = storage.read_parquet(name)
            other[name] = told(rows, known_at(kind, day), **PLANTS[kind]["tells"])

    with landed(world, other):
        after = built(world)

    later = {day for day in DAYS if day > ds}
    expected = dict.fromkeys(DAILY, later) if later else {}
    assert heard(untouched, after) == expected


def test_an_outcome_of_the_day_before_is_not_heard_even_where_it_was_known_at_t(world, untouched):
    """The outcomes of 9 March, told at 00:00 of the 10th: known at its T, and kept out by the window of days."""
    after = built_with_outcomes(world, "2013-03-09", midnight("2013-03-10"))
    assert heard(untouched, after) == {"outcomes": {"2013-03-11", "2013-03-12"}}


def test_an_outcome_that_claims_to_have_been_known_before_it_happened_is_refused_by_whoever_reads_it(world, untouched):
    day, claimed = "2013-03-10", midnight("2013-03-08")
    assert heard(untouched, built_with_outcomes(world, day, claimed, DAYS[:3])) == {}
    with pytest.raises(RefusedPartition, match="too early"):
        built_with_outcomes(world, day, claimed)


def built_with_outcomes(env: Environment, day: str, moment: datetime, days: tuple[str, ...] = DAYS) -> dict[str, Any]:
    """The features where the outcomes of a day had come at this moment, with other delays."""
    name = only_file(env, "outcomes", day)
    other = told(Storage(env).read_parquet(name), moment, **PLANTS["outcomes"]["tells"])
    with landed(env, {name: None, f"{name.rsplit('/', 1)[0]}/{moment:%Y%m%dT%H%M%SZ}.parquet": other}):
        return built(env, days)


def strewn(env: Environment, seed: int) -> dict[str, pa.Table]:
    """Corrections of a tenth of the rows of every landed file, each told at a random moment of the eight days or of the
    two days after."""
    draw, storage, found = random.Random(seed), Storage(env), {}
    begin, hours = midnight(BEGINS), 24 * 10
    for kind, plant in PLANTS.items():
        for ds in days_between(BEGINS, DAYS[-1]) if kind in DAILY else ("",):
            name = only_file(env, kind, ds)
            rows = storage.read_parquet(name)
            for _ in range(3):
                first = begin if kind not in DAILY else known_at(kind, ds) + SECOND
                moment = max(first, begin + timedelta(hours=draw.randrange(hours)))
                # The offset of an airport of departure would move every flight out of what a contract allows.
                origins = ("EWR", "JFK", "LGA") if kind == "airports" else ()
                names = rows[plant["row"][0]].to_pylist()
                places = [place for place, name in enumerate(names) if name not in origins]
                some = rows.take(sorted(draw.sample(places, rows.num_rows // 30)))
                path = f"{name.rsplit('/', 1)[0]}/{moment:%Y%m%dT%H%M%SZ}.parquet"
                found[path] = told(some, moment, **plant["tells"])
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_without_all_that_was_known_or_happened_after_t_the_features_of_t_are_the_same(world, untouched, seed):
    with landed(world, strewn(world, seed)):
        whole = built(world)
        assert heard(untouched, whole)  # the corrections do say something
        for ds in DAYS:
            moment, storage = midnight(ds), Storage(world)
            pruned: dict[str, pa.Table | None] = {}
            for name in [name for name in storage.list("raw") if name.endswith(".parquet")]:
                rows = storage.read_parquet(name)
                known = rows.filter(pc.less_equal(rows["known_at"], moment))
                happened = name.split("/ds=")[-1][:10] < ds if name.startswith("raw/outcomes/") else True
                if known.num_rows < rows.num_rows or not happened:
                    pruned[name] = known if known.num_rows and happened else None
            assert any(rows is None for rows in pruned.values())
            with landed(world, pruned):
                assert built(world, (ds,))[ds] == whole[ds]


def test_an_outcome_is_its_latest_version_whenever_that_came(world):
    outcomes.refresh(world, SPEC, TOLD, TOLD, CONTEXT)
    table = Table(world, SPEC.name, "outcomes")
    first = {row["flight_key"]: row for row in table.require(TOLD).to_pylist()}
    versions: dict[str, pa.Table] = {}
    for moment, delay in ((datetime(2013, 3, 20, 8), 0), (datetime(2013, 6, 1, 8), -241)):
        for name, rows in delivery(world, "outcomes", TOLD, moment).items():
            versions[name] = told(rows, moment, arr_delay=delay)
    with landed(world, versions):
        outcomes.refresh(world, SPEC, TOLD, TOLD, CONTEXT)
        now = {row["flight_key"]: row for row in table.require(TOLD).to_pylist()}
    changed = [key for key in first if first[key] != now[key]]

    (key,) = changed
    assert now[key]["arr_delay"] == first[key]["arr_delay"] - 1
    assert now[key]["known_at"] == datetime(2013, 6, 1, 8)
    assert first.keys() == now.keys()
    assert all(row["known_at"] == known_at("outcomes", TOLD) for row in first.values())


def test_in_the_shipped_world_no_flight_landed_after_the_first_t_that_reads_its_outcome():
    """The outcomes of D are told at noon of D+1 and first read at 00:00 of D+2."""
    from imago.landing.flights import FlightsWorld

    shipped = FlightsWorld()
    for ds in days_between("2013-01-01", "2013-12-31"):
        rows = {one.path.split("/")[1]: one.rows for one in shipped.deliveries(ds)}
        planned, went = rows["schedule"], rows["outcomes"]
        assert planned["flight_key"].equals(went["flight_key"])
        # The package does not say when a flight touched down: an airliner makes 350 miles in an hour, and then some.
        minutes = pc.add(went["dep_delay"], pc.cast(pc.multiply(planned["distance"], 60 / 350), pa.int64(), safe=False))
        flown = pc.add(went["event_time"], pc.multiply(minutes, pa.scalar(60_000_000, pa.duration("us"))))
        assert pc.max(flown).as_py() < midnight(shift(ds, 2)), ds
