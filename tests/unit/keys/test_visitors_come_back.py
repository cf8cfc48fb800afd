"""The same visitors every day, through dbt, its tests and the audit: alone and in a range, under keys of every type."""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imago.context import RunContext
from imago.errors import RefusedPartition, SpecError
from imago.jobs import features, outcomes
from imago.tables import Table
from imago_testing.visits import Visits
from imago_testing.worlds.building import variables

CONTEXT = RunContext(run_id="test")
DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")
TEXTS = ["a/b", "", "007", "7", "é", "e\u0301", "it's", 'say "hi"', "😀", "x" * 10_000, "line\nend", "a,b\\c"]
COUNT = len(TEXTS)
NUMBERS = [2**63 - 1, 2**63 - 2, 2**53 + 1, 2**53, -(2**63), -1, *range(COUNT - 6)]
UUIDS = pa.array([uuid.UUID(int=7**place).bytes for place in range(COUNT)], pa.binary(16))
PRICES = pa.array([decimal.Decimal(place) / 100 for place in range(COUNT)], pa.decimal128(12, 2))
KEYS = {
    "bigint": ({"customer": "bigint"}, {"customer": pa.array(NUMBERS, pa.int64())}),
    "uuid": ({"parcel": "uuid"}, {"parcel": pa.ExtensionArray.from_storage(pa.uuid(), UUIDS)}),
    "several": (
        {"shop": "smallint", "name": "varchar", "since": "date"},
        {
            "shop": pa.array([place % 2 for place in range(COUNT)], pa.int16()),
            "name": pa.array(TEXTS),
            "since": pa.array([dt.date(2020, 1, 1 + place // 4) for place in range(COUNT)]),
        },
    ),
    "decimal": ({"price": "decimal(12,2)"}, {"price": PRICES}),
}


@pytest.fixture
def project(tmp_path, dev):
    """Hosts the project of an entity; call it with the entity's columns."""
    from contextlib import ExitStack

    with ExitStack() as opened:

        def host(entity: dict[str, str]) -> Visits:
            visits = Visits(entity)
            folder = visits.write_project(tmp_path / "hosted" / "dbt_project")
            opened.enter_context(variables(IMAGO_DBT_PROJECT=str(folder), IMAGO_HOME=str(tmp_path / "home")))
            return visits

        yield host


@pytest.mark.parametrize("kind", list(KEYS))
def test_a_range_takes_what_its_days_take_and_gives_the_same(dev, project, kind):
    entity, rows = KEYS[kind]
    visits = project(entity)
    for ds in DAYS:
        visits.deliver(dev, ds, rows)
    ranged = [job.refresh(dev, visits.spec, DAYS[0], DAYS[-1], CONTEXT) for job in (features, outcomes)]
    alone = [job.refresh(dev, visits.spec, ds, ds, CONTEXT) for ds in DAYS for job in (features, outcomes)]

    assert [one["rows"] for one in ranged] == [COUNT * 3, COUNT * 3]
    assert [one["unchanged"] for one in alone] == [1] * 6
    stored = Table(dev, "visits", "features").read([DAYS[1]])
    given = pa.table(rows)
    if kind == "uuid":
        given = pa.table({"parcel": [str(one) for one in rows["parcel"].to_pylist()]})
    order = [(name, "ascending") for name in entity]
    assert stored.select(list(entity)).sort_by(order).to_pylist() == given.sort_by(order).to_pylist()
    assert stored.schema.field(next(iter(entity))).type == given.schema.field(0).type


def test_a_null_a_nul_and_a_floating_number_are_no_keys(dev, project):
    visits = project({"name": "varchar"})
    visits.deliver(dev, DAYS[0], {"name": pa.array(["a", "b\x00c", "d"])})
    with pytest.raises(RefusedPartition) as refused:
        features.refresh(dev, visits.spec, DAYS[0], DAYS[0], CONTEXT)
    assert (refused.value.facts["column"], refused.value.facts["rule"]) == ("name", "text without NUL")
    assert refused.value.facts["rows"] == 1

    visits.deliver(dev, DAYS[1], {"name": pa.array(["a", None, "d"])})
    with pytest.raises(RefusedPartition) as refused:
        features.refresh(dev, visits.spec, DAYS[1], DAYS[1], CONTEXT)
    assert (refused.value.facts["column"], refused.value.facts["rule"]) == ("name", "not null")

    floating = project({"name": "double precision"})
    with pytest.raises(SpecError, match="hole at name") as hole:
        features.refresh(dev, floating.spec, DAYS[0], DAYS[0], CONTEXT)
    assert "cast(name as bigint)" in hole.value.facts["allowed"]


def test_doubles_that_do_not_add_up_alike_in_another_order_make_one_version(dev, project, monkeypatch):
    """Many row groups, since DuckDB hands each of them to a thread of its own where it may have several."""
    write = functools.partial(pq.write_table, row_group_size=4096)
    monkeypatch.setattr("imago.landing.deliver.pq.write_table", write)
    visits = project({"customer": "bigint"})
    random = np.random.default_rng(11)
    values = random.choice([1e16, 1.0, -1e16, 3.3, 1e-8], 400_000) * (1 + np.arange(400_000) / 2**40)
    visits.deliver(dev, DAYS[0], {"customer": pa.array(np.arange(400_000) % 400), "value": values})
    runs = [features.refresh(dev, visits.spec, DAYS[0], DAYS[0], CONTEXT) for _ in range(5)]

    assert [run["changed"] for run in runs] == [1, 0, 0, 0, 0]
    assert {run["version"] for run in runs} == {runs[0]["version"]}
