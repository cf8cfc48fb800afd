"""The worlds are what they say: the same files each time, and the properties that the flights do not have."""

from __future__ import annotations

import datetime
import io
import uuid

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from imago.contracts.contract import check_complete
from imago.dbt import contract_of
from imago.specs import hosted_models
from imago_testing.worlds import MODELS, WORLDS, write_project


def of_kind(world, kind: str) -> list[pa.Table]:
    return [file.rows for ds in world.open_days for file in world.files(ds) if file.kind == kind]


@pytest.fixture(params=list(WORLDS))
def world(request):
    return WORLDS[request.param]


def as_bytes(rows: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(rows, buffer)
    return buffer.getvalue()


def test_this_process_hosts_the_worlds_and_no_flights():
    assert hosted_models() == MODELS
    assert {spec.name for spec in hosted_models()} == {"customers", "parcels", "tickets"}


def test_a_day_has_the_same_files_whenever_and_in_whatever_order_it_is_asked_for(world):
    days = world.open_days[::17]

    first = [[(file.path, as_bytes(file.rows)) for file in world.files(ds)] for ds in days]
    again = [[(file.path, as_bytes(file.rows)) for file in world.files(ds)] for ds in reversed(days)]

    assert first == list(reversed(again))
    assert all(30 <= file.rows.num_rows <= 200 for ds in days for file in world.files(ds))
    assert 60 <= len(world.days) <= 120


def test_each_contract_is_complete_and_offers_what_the_spec_asks_for(world):
    spec = world.spec
    for model in (spec.feature_model, spec.outcome_model):
        contract = contract_of(model, "dev")
        check_complete(contract, key=(*spec.entity_keys, "ds", spec.event_time))
    assert set(spec.feature_names) <= set(contract_of(spec.feature_model, "dev").names)
    assert spec.label in contract_of(spec.outcome_model, "dev").names


def test_a_feature_that_has_not_joined_yet_is_in_no_model(tmp_path, monkeypatch):
    world = WORLDS["parcels"]
    monkeypatch.setenv("IMAGO_DBT_PROJECT", str(write_project(tmp_path / "dbt_project", without=["traffic"])))

    names = contract_of("parcels_features", "dev").names

    assert "traffic" not in names
    assert set(names) >= set(world.before.feature_names)
    assert set(world.spec.feature_names) - set(world.before.feature_names) == {world.joining} == {"traffic"}


def test_customers_come_back_under_two_numbers_and_few_of_them_cancel():
    days = of_kind(WORLDS["customers"], "subscribers")
    first, last = ({(row["store"], row["customer"]) for row in day.to_pylist()} for day in (days[0], days[-1]))

    assert len(first & last) > 0.7 * len(first)
    assert len({customer for _, customer in first}) < len(first)  # a number names nobody without its store
    assert all(customer > 2**53 for _, customer in first | last)
    cancelled = pa.chunked_array([day.column("cancelled") for day in of_kind(WORLDS["customers"], "cancellations")])
    assert 0.03 <= pc.mean(cancelled.cast(pa.int8())).as_py() <= 0.05
    assert WORLDS["customers"].spec.business.unit == "GBP"


def test_customers_have_no_rows_on_a_sunday():
    world = WORLDS["customers"]
    closed = [ds for ds in world.days if datetime.date.fromisoformat(ds).weekday() == 6]

    assert [ds for ds in world.days if not world.files(ds)] == closed
    assert len(closed) == 17
    assert not set(closed) & set(world.open_days)


def test_parcels_are_named_by_uuids_and_their_whole_numbers_may_be_missing():
    rows = pa.concat_tables(of_kind(WORLDS["parcels"], "parcels"))
    keys = rows.column("parcel").to_pylist()

    assert len(set(keys)) == len(keys) == len({uuid.UUID(key) for key in keys})
    for name in ("weight_g", "stops"):
        assert rows.schema.field(name).type == pa.int64()
        assert 0.05 < rows.column(name).null_count / rows.num_rows < 0.2


def test_tickets_have_keys_of_any_text_and_no_mood_for_a_month():
    days = of_kind(WORLDS["tickets"], "tickets")
    keys = pa.concat_tables(days).column("ticket").to_pylist()

    assert len(set(keys)) == len(keys)
    assert all("/" in key and " " in key and not key.isascii() and "%" in key for key in keys)
    assert all(day.column("mood").null_count == day.num_rows for day in days[:31])
    assert all(0 < day.column("mood").null_count < day.num_rows for day in days[31:])
