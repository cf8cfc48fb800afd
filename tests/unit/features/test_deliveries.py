"""Raw files that are not what they promise are refused before anything is made of them, each by its own rule."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from imago.contracts import Contract, Raw
from imago.dbt.sources import _contract, source_contract
from imago.errors import MissingPartition, RefusedPartition, SpecError
from imago.features.deliveries import check_deliveries
from imago.features.raw import raw_files
from imago.landing.deliver import write_delivery
from imago.storage import Storage, checksum_of

D1, D2, D3 = "2013-03-01", "2013-03-02", "2013-03-03"
WHERE = {"environment": "dev", "model": "flight_delays", "table": "features"}
CONTRACT = Contract(
    model="flight_delays_features",
    columns=(),
    raw=(
        Raw(kind="schedule", days=(0, 0), delivered=(-30, 0)),
        Raw(kind="weather", days=(0, 0), delivered=(-30, 0)),
        Raw(kind="outcomes", days=(-29, -2), delivered=(24, None)),
        Raw(kind="planes"),
    ),
)


def check(env, first=D1, last=D3) -> int:
    raw = raw_files(Storage(env), CONTRACT, first=first, last=last, world_begins=D1, where=WHERE)
    return check_deliveries(
        Storage(env), CONTRACT, raw, first=first, last=last, timezone="America/New_York", where=WHERE
    )


def refused(env, first=D1, last=D3) -> dict:
    with pytest.raises(RefusedPartition) as error:
        check(env, first, last)
    assert error.value.next_step
    assert error.value.facts["file"] in error.value.message
    assert {name: error.value.facts[name] for name in WHERE} == WHERE
    return {**error.value.facts, "message": error.value.message}


@pytest.fixture
def file(landed):
    """Reads the schedule of 2 March, and delivers another table under its name."""

    class File:
        storage = Storage(landed)
        rel = f"raw/schedule/ds={D2}/20130301T230000Z.parquet"
        rows = storage.read_parquet(rel)

        def deliver(self, rows: pa.Table, rel: str | None = None) -> None:
            write_delivery(self.storage, rel or self.rel, rows)

        def with_column(self, name: str, values: object) -> pa.Table:
            return self.rows.set_column(self.rows.column_names.index(name), name, values)

    return File()


def test_good_files_pass_and_all_of_them_are_looked_at(landed):
    # Three days of schedule and weather, the one day of outcomes that 3 March may know, and the planes.
    assert check(landed) == 3 + 3 + 1 + 1


def test_the_order_of_columns_and_the_way_that_text_is_kept_do_not_matter(landed, file):
    rows = file.with_column("carrier", file.rows["carrier"].dictionary_encode())
    file.deliver(rows.select(rows.column_names[::-1]))
    assert check(landed, D2, D2) == 3


def test_half_a_file_is_refused_by_its_checksum(landed, file):
    half = file.storage.read_bytes(file.rel)[:5000]
    file.storage.write_bytes(file.rel, half)

    facts = refused(landed)
    assert (facts["rule"], facts["partition"], facts["file"]) == ("checksum", D2, file.rel)
    assert "5,000 bytes" in facts["seen"]
    assert "cannot be read as Parquet" in facts["seen"]


def test_one_flipped_bit_is_refused_by_its_checksum(landed, file):
    data = bytearray(file.storage.read_bytes(file.rel))
    data[1000] ^= 1
    file.storage.write_bytes(file.rel, bytes(data))
    assert refused(landed)["rule"] == "checksum"


def test_half_a_file_with_a_fresh_checksum_is_refused_as_unreadable(landed, file):
    half = file.storage.read_bytes(file.rel)[:5000]
    file.storage.write_bytes(file.rel, half)
    file.storage.write_bytes(checksum_of(file.rel), hashlib.sha256(half).hexdigest().encode())
    assert refused(landed)["rule"] == "readable Parquet"


def test_a_file_without_its_checksum_is_refused(landed, file):
    file.storage.delete(checksum_of(file.rel))

    facts = refused(landed)
    assert (facts["rule"], facts["seen"]) == ("checksum", "none")
    assert facts["allowed"] == "_20130301T230000Z.parquet.sha256 beside it"


def test_an_old_file_that_is_being_replaced_is_whole(landed, file):
    promised = file.storage.read_bytes(checksum_of(file.rel)).decode()
    file.storage.write_bytes(checksum_of(file.rel), f"{'0' * 64}\n{promised}".encode())
    assert check(landed, D2, D2) == 3


def test_a_file_that_goes_away_while_it_is_read_is_missing(landed, file):
    raw = raw_files(file.storage, CONTRACT, first=D2, last=D2, world_begins=D1, where=WHERE)
    file.storage.delete(file.rel)
    with pytest.raises(MissingPartition, match="went away"):
        check_deliveries(file.storage, CONTRACT, raw, first=D2, last=D2, timezone="America/New_York", where=WHERE)


@pytest.mark.parametrize(
    ("spoil", "column", "rule"),
    [
        (lambda rows: rows.drop_columns("dest"), "dest", "all of the contract's columns"),
        (lambda rows: rows.rename_columns({"dest": "to"}), "dest", "all of the contract's columns"),
        (lambda rows: rows.append_column("pilot", rows["dest"]), "pilot", "only the contract's columns"),
        (lambda rows: rows.append_column("dest", rows["dest"]), "dest", "only the contract's columns"),
        (
            lambda rows: rows.set_column(10, "distance", rows["distance"].cast(pa.string())),
            "distance",
            "type",
        ),
        (
            lambda rows: rows.set_column(2, "event_time", rows["event_time"].cast(pa.date32())),
            "event_time",
            "type",
        ),
    ],
)
def test_columns_that_are_missing_extra_or_of_another_type_are_named(landed, file, spoil, column, rule):
    file.deliver(spoil(file.rows))
    facts = refused(landed)
    assert (facts["column"], facts["rule"]) == (column, rule)
    assert {"allowed", "seen"} <= set(facts)


def test_a_file_without_rows_is_refused(landed, file):
    file.deliver(file.rows.slice(0, 0))
    facts = refused(landed)
    assert (facts["rule"], facts["rows"]) == ("rows > 0", 0)


def test_yesterdays_file_under_todays_name_names_both_days(landed, file):
    file.deliver(file.storage.read_parquet(f"raw/schedule/ds={D1}/20130228T230000Z.parquet"))

    facts = refused(landed)
    assert f"it is the file of {D1} under the name of {D2}" in facts["message"]
    assert (facts["column"], facts["allowed"], facts["seen"], facts["rows"]) == ("flight_date", D2, D1, 958)


def test_what_a_sender_wrote_in_place_of_a_day_is_not_quoted(landed, file):
    days = file.rows["flight_date"].to_pylist()
    days[7] = "Jane Doe\nERROR all good"
    file.deliver(file.with_column("flight_date", pa.array(days)))

    facts = refused(landed)
    assert (facts["rows"], facts["seen"]) == (1, "what is not a day")
    assert "Jane" not in facts["message"]


@pytest.mark.parametrize("column", ["known_at", "flight_key", "origin"])
def test_what_may_not_be_missing_is_counted(landed, file, column):
    values = file.rows[column].to_pylist()
    values[3] = values[4] = None
    file.deliver(file.with_column(column, pa.array(values, file.rows.schema.field(column).type)))
    facts = refused(landed)
    assert (facts["column"], facts["rule"], facts["rows"]) == (column, "not null", 2)


def test_a_flight_that_stands_twice_is_counted(landed, file):
    file.deliver(pa.concat_tables([file.rows, file.rows.slice(0, 3)]))
    facts = refused(landed)
    assert (facts["column"], facts["rule"], facts["rows"]) == ("flight_key", "unique key", 3)


def test_a_correction_may_not_pretend_that_it_was_known_before_it_came(landed, file):
    # The rows keep the known_at of the first delivery: a history made of them would know what nobody knew.
    file.deliver(file.rows.slice(0, 5), rel=f"raw/schedule/ds={D2}/20130310T120000Z.parquet")
    facts = refused(landed)
    assert (facts["column"], facts["rows"]) == ("known_at", 5)
    assert facts["rule"] == "known_at is the delivery in the file's name"


def redelivered(file, moment: datetime) -> str:
    """The file of 2 March as if it had been delivered at another moment."""
    rows = file.with_column("known_at", pa.repeat(pa.scalar(moment, pa.timestamp("us")), file.rows.num_rows))
    rel = f"raw/schedule/ds={D2}/{moment:%Y%m%dT%H%M%SZ}.parquet"
    file.deliver(rows, rel=rel)
    return rel


@pytest.mark.parametrize(
    ("shift", "hours", "words"),
    [
        (timedelta(days=-3), "-78 hours", "too early to be of its day: a stale file"),
        # 19:00 of summer time, 399 days and 19 hours on the clock after 00:00 of the day.
        (timedelta(days=400), "9595 hours", "later than a file of its day may be"),
    ],
)
def test_stale_and_future_deliveries_are_told_apart(landed, file, shift, hours, words):
    file.storage.delete(f"raw/schedule/ds={D2}")
    redelivered(file, datetime(2013, 3, 1, 23) + shift)

    facts = refused(landed)
    assert (facts["column"], facts["rule"], facts["seen"]) == ("known_at", "delivered", hours)
    assert facts["allowed"] == f"-30 to 0 hours after 00:00 of {D2} (America/New_York)"
    assert words in facts["message"]


def test_a_correction_may_come_whenever_it_comes(landed, file):
    redelivered(file, datetime(2014, 3, 1))
    assert check(landed, D2, D2) == 4


def test_a_file_whose_name_is_no_moment_is_refused(landed, file):
    file.deliver(file.rows, rel=f"raw/schedule/ds={D2}/20131399T990000Z.parquet")
    facts = refused(landed)
    assert (facts["rule"], facts["seen"]) == ("name of a delivery", "20131399T990000Z.parquet")


def test_a_bad_file_of_the_past_names_the_days_that_are_made_of_it(landed):
    storage = Storage(landed)
    rel = storage.list(f"raw/outcomes/ds={D1}")[0]
    storage.write_bytes(rel, b"PAR1")

    # Outcomes of 1 March are in the features of 3 March, and in no earlier ones.
    facts = refused(landed)
    assert (facts["file"], facts["partition"]) == (rel, D3)


def test_a_file_that_never_came_names_the_days_that_wait_for_it(landed):
    Storage(landed).delete(f"raw/weather/ds={D2}")
    with pytest.raises(MissingPartition, match="weather has not been delivered for 2013-03-02") as error:
        check(landed)
    assert error.value.facts["partition"] == D2
    assert error.value.facts["file"] == f"raw/weather/ds={D2}/*.parquet"


def test_each_day_remembers_the_files_that_it_was_made_of(landed):
    storage = Storage(landed)
    raw = raw_files(storage, CONTRACT, first=D1, last=D3, world_begins=D1, where=WHERE)

    assert sorted(raw.by_day) == [D1, D2, D3]
    assert list(raw.by_day[D3]["outcomes"]) == [f"outcomes/ds={D1}/20130302T170000Z.parquet"]
    assert raw.by_day[D1]["outcomes"] == {}
    size, written_at = raw.by_day[D2]["weather"][f"weather/ds={D2}/20130301T230000Z.parquet"]
    info = storage.filesystem.get_file_info(storage.path(f"raw/weather/ds={D2}/20130301T230000Z.parquet"))
    assert (size, written_at) == (info.size, info.mtime_ns)
    assert {len(seen) for seen in raw.by_day[D1]["planes"].values()} == {1}
    assert not any(
        name.endswith(".sha256") for kinds in raw.by_day.values() for seen in kinds.values() for name in seen
    )


def test_every_shipped_raw_kind_has_a_contract_with_a_checksum():
    for kind in ("schedule", "weather", "outcomes", "planes", "airports", "airlines"):
        source = source_contract(kind, "dev")
        assert source.checksum
        assert source.columns[-1].name == "known_at"


@pytest.mark.parametrize(
    ("column", "value", "rule", "seen"),
    [
        ("tailnum", "'; drop table features; --", "pattern", '"\'; drop table features; --"'),
        ("origin", "PHL", "allowed values", "'PHL'"),
        ("distance", -719, "range", "-719 to -719"),
        ("flight_key", "2013-03-02-UA1-EWR-0000", "tells its row", "not shown: the column is a key"),
        (
            "event_time",
            datetime(2014, 3, 2, 12),
            "lies within its day",
            "within 2013-03-02 10:15:00 to 2014-03-02 12:00:00",
        ),
    ],
)
def test_a_value_that_its_column_does_not_allow_is_refused_by_file_and_column(landed, file, column, value, rule, seen):
    values = file.rows[column].to_pylist()
    file.deliver(file.with_column(column, pa.array([value, *values[1:]], file.rows[column].type)))

    facts = refused(landed)
    assert (facts["file"], facts["column"], facts["rule"], facts["rows"]) == (file.rel, column, rule, 1)
    assert facts["seen"] == seen


def test_a_register_is_refused_when_half_of_it_is_missing_but_may_be_corrected_row_by_row(landed):
    storage = Storage(landed)
    rel = next(name for name in storage.list("raw/planes") if name.endswith(".parquet"))
    rows = storage.read_parquet(rel)
    boeing = rows.slice(0, 1).set_column(rows.column_names.index("known_at"), "known_at", [[datetime(2013, 3, 1)]])
    boeing = boeing.cast(rows.schema)
    write_delivery(storage, "raw/planes/20130301T000000Z.parquet", boeing)
    check(landed)

    write_delivery(storage, rel, rows.slice(0, rows.num_rows // 2))
    facts = refused(landed)
    assert (facts["rule"], facts["rows"], facts.get("column")) == ("volume", rows.num_rows // 2, None)


def test_a_rule_that_a_file_cannot_answer_by_itself_is_refused_in_its_contract():
    with pytest.raises(SpecError, match="airlines has a hole at carrier") as error:
        _contract("airlines", {"key": ["carrier"], "checksum": "none"}, (("carrier", "varchar", {"max_unseen": 0.1}),))
    assert error.value.facts["seen"] == "max_unseen"
    with pytest.raises(SpecError, match="airlines has a hole") as error:
        _contract("airlines", {"key": ["carrier"], "checksum": "none", "volume": [1, 2]}, ())
    assert error.value.facts["seen"] == "volume"
