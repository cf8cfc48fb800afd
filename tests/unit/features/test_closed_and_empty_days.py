"""Closed days, days that are empty on purpose, and history from before the first day: real dbt on real days."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from imago.context import RunContext
from imago.contracts import Column, Contract, Volume
from imago.dbt.project import project_folder
from imago.errors import ClosedDay, MissingPartition, RefusedPartition
from imago.features.audit import audit
from imago.features.daily import History
from imago.jobs import features, outcomes
from imago.landing.deliver import write_delivery
from imago.specs import Calendar
from imago.storage import Storage
from imago.tables import Table

CONTEXT = RunContext(run_id="test")
D1, D2, D3 = "2013-03-01", "2013-03-02", "2013-03-03"
CLOSED = Calendar(closed_days=(D2,))


@pytest.fixture
def own_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the dbt project that a test may change."""
    copy = tmp_path / "dbt_project"
    shutil.copytree(project_folder(), copy, ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setenv("IMAGO_DBT_PROJECT", str(copy))
    return copy


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_range_over_a_closed_day_needs_no_files_of_it_and_publishes_the_others(landed, spec):
    shop = spec.model_copy(update={"calendar": CLOSED})
    for kind in ("schedule", "weather", "outcomes"):
        Storage(landed).delete(f"raw/{kind}/ds={D2}")

    summary = features.refresh(landed, shop, D1, D3, CONTEXT)

    assert (summary["days"], summary["rows"]) == (2, 958 + 913)
    assert Table(landed, shop.name, "features").published_days() == (D1, D3)
    with pytest.raises(ClosedDay, match=D2):
        features.refresh(landed, shop, D2, D2, CONTEXT)
    with pytest.raises(MissingPartition, match=D2):
        features.refresh(landed, spec, D1, D3, CONTEXT)


def test_rows_that_come_on_a_closed_day_are_refused_by_its_name(landed, spec):
    shop = spec.model_copy(update={"calendar": CLOSED})

    with pytest.raises(RefusedPartition, match=f"closed day: {D2}") as refused:
        outcomes.refresh(landed, shop, D1, D3, CONTEXT)

    assert (refused.value.facts["partition"], refused.value.facts["rows"]) == (D2, 765)
    assert "calendar" in refused.value.next_step


def test_history_from_before_the_first_day_gives_the_first_days_their_right_values(landed, spec):
    late = spec.model_copy(update={"first_day": D3})
    features.refresh(landed, late, D3, D3, CONTEXT)
    outcomes.refresh(landed, spec, D1, D1, CONTEXT)

    rows = Table(landed, spec.name, "features").read([D3], columns=["origin", "origin_late_rate_7d"])
    truth = Table(landed, spec.name, "outcomes").read([D1])
    for origin in ("EWR", "JFK", "LGA"):
        arrived = truth.filter(
            pc.and_(pc.is_valid(truth["label"]), pc.match_substring(truth["flight_key"], f"-{origin}-"))
        )
        rates = pc.unique(rows.filter(pc.equal(rows["origin"], origin))["origin_late_rate_7d"]).to_pylist()
        assert rates == [pc.mean(arrived["label"]).as_py()]


def test_a_hole_in_the_history_before_the_first_day_is_named(landed, spec):
    day_after = spec.model_copy(update={"first_day": D3})
    from imago.jobs.landing import land

    land(landed, "2013-02-26", "2013-02-26", CONTEXT)
    with pytest.raises(MissingPartition, match=r"outcomes has not been delivered for 2013-02-27.*begins on 2013-02-26"):
        features.refresh(landed, day_after, D3, D3, CONTEXT)


def test_history_that_comes_late_touches_the_days_that_look_back_at_it(landed, spec):
    from imago.features.changes import touched
    from imago.jobs.landing import land

    features.refresh(landed, spec, D1, D1, CONTEXT)
    assert touched(landed, spec, "features") == {}
    land(landed, "2013-02-27", "2013-02-28", CONTEXT)
    reasons = touched(landed, spec, "features")
    # What was delivered by 00:00 of 1 March: the outcomes of 27 February, and of no later day.
    assert list(reasons) == [D1]
    assert [reason.split("/")[2] for reason in reasons[D1]] == ["ds=2013-02-27"]


def test_a_day_without_rows_is_published_empty_where_contract_and_source_allow_it(landed, spec, own_project):
    contract = next(own_project.rglob("flight_delays_features.yml"))
    storage = Storage(landed)
    (name,) = [name for name in storage.list(f"raw/schedule/ds={D2}") if name.endswith("Z.parquet")]
    write_delivery(storage, name, storage.read_parquet(name).slice(0, 0))
    with pytest.raises(RefusedPartition, match="it has no rows") as refused:
        features.refresh(landed, spec, D2, D2, CONTEXT)
    assert "rows" in refused.value.next_step

    sources = next(own_project.rglob("sources.yml"))
    schedule = sources.read_text().index("- name: schedule")
    text = sources.read_text()
    at = text.index("checksum:", schedule)
    sources.write_text(text[:at] + "rows: [0, null]\n            " + text[at:])
    replaced(contract, "volume: {at_least: 400", "volume: {at_least: 0")
    replaced(next(own_project.rglob("stg_schedule.yml")), "      - not_empty\n", "")
    summary = features.refresh(landed, spec, D1, D3, CONTEXT)

    table = Table(landed, spec.name, "features")
    assert (summary["days"], summary["rows"]) == (3, 958 + 913)
    assert table.partition(D2).rows == 0
    assert table.require(D2).num_rows == 0
    assert features.refresh(landed, spec, D2, D2, CONTEXT)["unchanged"] == 1


VOLUME = Volume(at_least=0, at_most=3, of_weekday=(0.5, 2.0), warn_of_weekday=(0.8, 1.5))
SHOP = Contract(
    model="shop",
    columns=(
        Column(name="key", data_type="varchar", nullable=False, pattern="[a-z]+"),
        Column(name="ds", data_type="varchar", nullable=False, pattern="[0-9-]+"),
        Column(name="spent", data_type="double precision", at_least=0, at_most=9, max_missing=0.5),
    ),
    volume=VOLUME,
)
EMPTY = pa.table(
    {"key": pa.array([], pa.string()), "ds": pa.array([], pa.string()), "spent": pa.array([], pa.float64())}
)


def test_an_audit_lets_an_empty_day_pass_beside_its_usual_rows_and_still_judges_a_thin_one():
    usual = History(rows={f"2013-02-{n:02d}": 3 for n in range(1, 29)})
    assert audit(SHOP, EMPTY, key=("key",), days=(D1,), before=usual).failures == ()
    thin = pa.table({"key": ["a"], "ds": [D1], "spent": [1.0]})
    (failure,) = audit(SHOP, thin, key=("key",), days=(D1, D2), before=usual).failures
    assert (failure.rule, failure.partition) == ("of_weekday", D1)
