"""The shipped world: who delivers what, and when it becomes known."""

from __future__ import annotations

import hashlib
from datetime import datetime

import pytest

from imago.errors import ImagoError
from imago.landing.deliver import deliver, write_delivery
from imago.landing.flights import FlightsWorld, known_at, new_york
from imago.storage import Storage, checksum_of


@pytest.fixture(scope="module")
def world() -> FlightsWorld:
    return FlightsWorld()


def day(world: FlightsWorld, ds: str) -> dict:
    return {delivery.path.split("/")[1]: delivery for delivery in world.deliveries(ds)}


def test_a_flight_key_can_be_read_by_a_person_and_is_unique(world):
    keys = day(world, "2013-01-01")["schedule"].rows.column("flight_key").to_pylist()

    assert keys[0] == "2013-01-01-UA1545-EWR-0515"
    assert len(set(keys)) == len(keys) == 842


def test_the_schedule_is_known_on_the_evening_before_and_the_outcome_at_noon_of_the_day_after():
    assert known_at("schedule", "2013-01-02") == known_at("weather", "2013-01-02") == datetime(2013, 1, 1, 23)
    assert known_at("outcomes", "2013-01-02") == datetime(2013, 1, 3, 17)


def test_new_york_midnight_moves_with_daylight_saving():
    assert new_york("2013-03-10", 0) == datetime(2013, 3, 10, 5)
    assert new_york("2013-03-11", 0) == datetime(2013, 3, 11, 4)


def test_every_row_says_when_it_became_known_and_of_which_day_it_is(world):
    for delivery in world.deliveries("2013-07-04"):
        assert delivery.rows.column("known_at").null_count == 0
        assert set(delivery.rows.column("flight_date").to_pylist()) == {"2013-07-04"}
        assert "ds=2013-07-04/" in delivery.path


def test_the_schedule_tells_nothing_of_how_the_flight_went(world):
    names = set(day(world, "2013-01-01")["schedule"].rows.column_names)

    assert not names & {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "cancelled", "diverted"}


def test_cancelled_and_diverted_flights_have_no_delay_and_differ(world):
    rows = day(world, "2013-02-08")["outcomes"].rows.to_pylist()  # the blizzard
    cancelled = [row for row in rows if row["cancelled"]]

    assert len(cancelled) == 472
    assert all(row["arr_delay"] is None and not row["diverted"] for row in cancelled)
    assert all(row["arr_delay"] is None for row in rows if row["diverted"])


def test_the_weather_of_the_last_day_is_a_persistence_forecast(world):
    found = day(world, "2013-12-31")
    forecast = found["weather"].rows.to_pylist()
    before = {ds: day(world, ds)["weather"].rows.to_pylist() for ds in ("2013-12-29", "2013-12-30")}

    def temperature(rows, moment):
        return {row["origin"]: row["temp"] for row in rows if row["hour_at"] == moment}

    assert found["schedule"].rows.num_rows == 776
    assert len({(row["origin"], row["hour_at"]) for row in forecast}) == len(forecast) == 72
    # At 18:00 on the 30th that hour is the last one seen; the evening is as it was on the 29th.
    noon, evening = datetime(2013, 12, 31, 17), datetime(2014, 1, 1, 1)
    assert temperature(forecast, noon) == temperature(before["2013-12-30"], datetime(2013, 12, 30, 17))
    assert temperature(forecast, evening) == temperature(before["2013-12-29"], datetime(2013, 12, 30, 1))
    assert min(row["hour_at"] for row in forecast) == datetime(2013, 12, 31, 5)


def test_a_day_outside_of_the_world_is_refused_with_its_bounds(world):
    with pytest.raises(ImagoError, match="2013-01-01 to 2013-12-31"):
        world.deliveries("2014-01-01")


def test_landing_again_writes_nothing_and_a_changed_file_is_put_right(dev, world):
    storage = Storage(dev)
    deliveries = [*world.reference(), *world.deliveries("2013-01-01")]
    seen: list[tuple[int, int]] = []

    first = deliver(storage, deliveries, progress=lambda done, total: seen.append((done, total)))
    bytes_before = {path: storage.read_bytes(path) for path in storage.list("raw")}
    again = deliver(storage, deliveries)
    path = deliveries[-1].path
    storage.write_bytes(path, b"half a file")
    storage.delete(checksum_of(deliveries[0].path))
    mended = deliver(storage, deliveries)

    assert first == {"files": 6, "written": 6, "unchanged": 0, "rows": sum(d.rows.num_rows for d in deliveries)}
    assert seen[-1] == (6, 6)
    assert again["written"] == 0
    assert mended["written"] == 2
    assert {path: storage.read_bytes(path) for path in storage.list("raw")} == bytes_before


def test_a_delivery_lies_beside_the_checksum_of_its_bytes(dev, world):
    storage = Storage(dev)
    delivery = world.deliveries("2013-01-01")[0]

    assert write_delivery(storage, delivery.path, delivery.rows)
    assert not write_delivery(storage, delivery.path, delivery.rows)
    promised = storage.read_bytes(checksum_of(delivery.path)).decode()
    assert promised == hashlib.sha256(storage.read_bytes(delivery.path)).hexdigest()


@pytest.mark.parametrize("dies_at", ["first", "second", "third"])
def test_a_writer_that_dies_leaves_the_old_file_or_the_new_one_and_never_a_broken_one(dev, world, monkeypatch, dies_at):
    storage = Storage(dev)
    delivery = world.deliveries("2013-01-01")[0]
    write_delivery(storage, delivery.path, delivery.rows)
    writes = iter(["first", "second", "third"])
    write_bytes = Storage.write_bytes

    def dying(self, rel, data):
        if next(writes) == dies_at:
            raise OSError("killed")
        return write_bytes(self, rel, data)

    monkeypatch.setattr(Storage, "write_bytes", dying)
    with pytest.raises(OSError, match="killed"):
        write_delivery(storage, delivery.path, delivery.rows.slice(1))
    monkeypatch.undo()

    promised = storage.read_bytes(checksum_of(delivery.path)).decode().split()
    rows = storage.read_parquet(delivery.path).num_rows
    assert hashlib.sha256(storage.read_bytes(delivery.path)).hexdigest() in promised
    assert rows == delivery.rows.num_rows - (dies_at == "third")
    assert write_delivery(storage, delivery.path, delivery.rows.slice(1))
    assert len(storage.read_bytes(checksum_of(delivery.path)).split()) == 1


def test_a_broken_file_is_not_called_whole_while_it_is_replaced(dev, world, monkeypatch):
    storage = Storage(dev)
    delivery = world.deliveries("2013-01-01")[0]
    write_delivery(storage, delivery.path, delivery.rows)
    storage.write_bytes(delivery.path, b"half a file")
    told = []
    write_bytes = Storage.write_bytes

    def noting(self, rel, data):
        told.append((rel.rsplit(".", 1)[-1], data))
        return write_bytes(self, rel, data)

    monkeypatch.setattr(Storage, "write_bytes", noting)
    write_delivery(storage, delivery.path, delivery.rows.slice(1))

    broken = hashlib.sha256(b"half a file").hexdigest().encode()
    assert [name for name, _ in told] == ["sha256", "parquet", "sha256"]
    assert all(broken not in data for name, data in told if name == "sha256")
