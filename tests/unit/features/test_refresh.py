"""Write, audit, publish, with real dbt on three real days."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sqlalchemy import select

from imago import ledger
from imago.context import RunContext
from imago.dbt.project import project_folder
from imago.environments import Environment
from imago.errors import Fenced, ImagoError, MissingPartition, RefusedPartition, SpecError
from imago.jobs import features, outcomes
from imago.jobs.landing import land
from imago.landing.deliver import write_delivery
from imago.ledger.schema import alerts
from imago.storage import Storage
from imago.tables import Table

CONTEXT = RunContext(run_id="test")
D1, D2, D3 = "2013-03-01", "2013-03-02", "2013-03-03"


def told(env: Environment, rule: str) -> list[dict[str, Any]]:
    """The alerts of one rule, oldest first."""
    with ledger.connect(env).connect() as connection:
        query = select(alerts.c.body).where(alerts.c.rule == rule).order_by(alerts.c.id)
        return [{**body, "facts": dict(body["facts"])} for body in connection.execute(query).scalars()]


def test_a_range_gives_the_same_rows_as_its_days_one_by_one(landed, spec):
    summary = features.refresh(landed, spec, D1, D3, CONTEXT)
    table = Table(landed, spec.name, "features")
    in_range = {info.ds: info.digest for info in table.partitions()}
    alone = [features.refresh(landed, spec, ds, ds, CONTEXT) for ds in (D1, D2, D3)]

    assert (summary["days"], summary["changed"], summary["rows"]) == (3, 3, 958 + 765 + 913)
    assert [one["unchanged"] for one in alone] == [1, 1, 1]
    assert {info.ds: info.digest for info in table.partitions()} == in_range
    assert table.version() == 1
    assert Storage(landed).list("staging") == []


def test_a_storage_root_of_odd_names_gives_the_same_rows(make_environment, landed, spec, tmp_path):
    odd = make_environment("dev", storage_root=f"{tmp_path}/it's 100% für/seats=9/ds=x/a*b?{{{{c}}}}")
    land(odd, D1, D3, CONTEXT)
    for env in (landed, odd):
        features.refresh(env, spec, D1, D3, CONTEXT)
        outcomes.refresh(env, spec, D1, D1, CONTEXT)
    for name in ("features", "outcomes"):
        digests = [{one.ds: one.digest for one in Table(env, spec.name, name).partitions()} for env in (landed, odd)]
        assert digests[0] == digests[1]
        assert digests[0]
    again = features.refresh(odd, spec, D2, D2, CONTEXT)
    assert (again["changed"], again["unchanged"]) == (0, 1)


def test_a_model_of_another_time_zone_than_the_specs_is_refused(landed, spec):
    elsewhere = spec.model_copy(update={"timezone": "Europe/Berlin"})
    with pytest.raises(ImagoError, match="America/New_York, the spec's Europe/Berlin"):
        features.refresh(landed, elsewhere, D1, D1, CONTEXT)


def test_features_and_spec_name_the_same_columns(landed, spec):
    features.refresh(landed, spec, D1, D1, CONTEXT)

    rows = Table(landed, spec.name, "features").read([D1])
    assert set(rows.column_names) == {"flight_key", "ds", "event_time", *spec.feature_names}
    kinds = {"numeric": pa.float64(), "categorical": pa.string()}
    for feature in spec.features:
        assert rows.schema.field(feature.name).type == kinds[feature.kind], feature.name


def test_history_ends_two_days_before_and_starts_empty(landed, spec):
    features.refresh(landed, spec, D1, D3, CONTEXT)
    outcomes.refresh(landed, spec, D1, D3, CONTEXT)

    rows = Table(landed, spec.name, "features").read([D1, D2, D3], columns=["ds", "origin", "origin_late_rate_7d"])
    told = {ds: rows.filter(pc.equal(rows["ds"], ds))["origin_late_rate_7d"].null_count for ds in (D1, D2, D3)}
    truth = Table(landed, spec.name, "outcomes").read([D1])
    arrived = truth.filter(pc.and_(pc.is_valid(truth["label"]), pc.match_substring(truth["flight_key"], "-EWR-")))
    newark = rows.filter(pc.and_(pc.equal(rows["ds"], D3), pc.equal(rows["origin"], "EWR")))

    # On 3 March only 1 March is known; on the two days before nothing is.
    assert told == {D1: 958, D2: 765, D3: 0}
    assert newark["origin_late_rate_7d"][0].as_py() == pc.mean(arrived["label"]).as_py()


def test_a_correction_changes_the_outcome_and_no_feature_that_was_made_before_it(landed, spec):
    features.refresh(landed, spec, D3, D3, CONTEXT)
    outcomes.refresh(landed, spec, D1, D1, CONTEXT)
    storage = Storage(landed)
    late = datetime(2013, 3, 20)
    original = storage.read_parquet(storage.list(f"raw/outcomes/ds={D1}")[0])
    flight = original.filter(pc.equal(original["arr_delay"], 0)).slice(0, 1)
    corrected = flight.set_column(flight.column_names.index("arr_delay"), "arr_delay", pa.array([300], pa.int64()))
    corrected = corrected.set_column(
        corrected.column_names.index("known_at"), "known_at", pa.array([late], pa.timestamp("us"))
    )
    write_delivery(storage, f"raw/outcomes/ds={D1}/20130320T000000Z.parquet", corrected)

    after = outcomes.refresh(landed, spec, D1, D1, CONTEXT)
    unmoved = features.refresh(landed, spec, D3, D3, CONTEXT)

    key = flight["flight_key"][0].as_py()
    table = Table(landed, spec.name, "outcomes")
    now = {row["flight_key"]: row for row in table.read([D1]).to_pylist()}[key]
    before = {row["flight_key"]: row for row in table.read([D1], version=1).to_pylist()}[key]
    assert (before["label"], now["label"], now["arr_delay"], now["known_at"]) == (0, 1, 300.0, late)
    assert (after["changed"], after["rows"]) == (1, 958)
    assert unmoved["unchanged"] == 1


def test_a_raw_file_that_never_came_is_named(landed, spec):
    Storage(landed).delete(f"raw/weather/ds={D2}")

    with pytest.raises(MissingPartition, match="weather has not been delivered for 2013-03-02"):
        features.refresh(landed, spec, D1, D3, CONTEXT)
    assert Table(landed, spec.name, "features").version() is None


def test_yesterdays_file_under_todays_name_is_refused_and_told(landed, spec):
    storage = Storage(landed)
    stale = storage.read_parquet(storage.list(f"raw/schedule/ds={D1}")[0])
    write_delivery(storage, storage.list(f"raw/schedule/ds={D2}")[0], stale)

    with pytest.raises(RefusedPartition) as refused:
        features.refresh(landed, spec, D2, D2, CONTEXT)

    assert refused.value.facts["column"] == "flight_date"
    assert refused.value.facts["rows"] == 958
    assert refused.value.facts["partition"] == D2
    assert [alert["facts"]["column"] for alert in told(landed, "partition_refused")] == ["flight_date"]


def test_an_older_attempt_is_fenced_off(landed, spec, monkeypatch):
    table = Table(landed, spec.name, "features")
    drawn = table.draw_fence()
    features.refresh(landed, spec, D1, D1, CONTEXT)
    newer = table.require(D1).slice(1)
    table.publish(newer, days=[D1], key=(spec.entity_key,), fence=table.draw_fence(), context=CONTEXT)
    monkeypatch.setattr(Table, "draw_fence", lambda self: drawn)

    with pytest.raises(Fenced):
        features.refresh(landed, spec, D1, D1, CONTEXT)
    assert table.require(D1).num_rows == newer.num_rows


@pytest.fixture
def own_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the dbt project that a test may spoil."""
    folder = tmp_path / "dbt_project"
    shutil.copytree(project_folder(), folder, ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setenv("IMAGO_DBT_PROJECT", str(folder))
    return folder / "models" / "features" / "flight_delays"


def plant(folder: Path, *, in_contract: bool) -> None:
    sql = folder / "flight_delays_features.sql"
    text = sql.read_text()
    text = text.replace("        schedule.carrier,\n", "        schedule.carrier,\n        planted.arr_delay,\n", 1)
    text = text.replace(
        "    inner join day_plan on",
        "    left join (select flight_key, cast(arrival_delay as double precision) as arr_delay\n"
        "               from {{ ref('stg_outcomes') }}) as planted on planted.flight_key = schedule.flight_key\n"
        "    inner join day_plan on",
        1,
    )
    sql.write_text(text)
    if in_contract:
        yml = folder / "flight_delays_features.yml"
        column = (
            "      - name: arr_delay\n        data_type: double precision\n        description: A leak.\n"
            "        config: {meta: {at_least: -120, at_most: 1800, max_missing: 0.98}}\n"
        )
        yml.write_text(yml.read_text().replace("      - name: carrier\n", column + "      - name: carrier\n", 1))


@pytest.mark.parametrize("in_contract", [False, True])
def test_a_planted_outcome_column_is_refused_by_name(landed, spec, own_project, in_contract):
    plant(own_project, in_contract=in_contract)

    with pytest.raises(RefusedPartition, match="arr_delay") as refused:
        features.refresh(landed, spec, D1, D1, CONTEXT)

    assert refused.value.facts["column"] == "arr_delay"
    assert refused.value.facts["rule"] == ("no outcome among the features" if in_contract else "contract")
    assert Table(landed, spec.name, "features").version() is None


def edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    file.write_text(text)


def test_a_value_outside_of_its_contract_is_refused_with_all_facts_a_page_and_one_alert(landed, spec, own_project):
    edit(own_project / "flight_delays_features.yml", ("values: [EWR, JFK, LGA]", "values: [EWR, JFK]"))

    for _ in range(2):
        with pytest.raises(RefusedPartition) as refused:
            features.refresh(landed, spec, D1, D2, CONTEXT)

    facts = refused.value.facts
    storage = Storage(landed)
    assert facts["partition"] == f"{D1} (the worst of 2 days)"
    assert {name: facts[name] for name in ("environment", "model", "table", "column", "rule", "allowed", "seen")} == {
        "environment": "dev", "model": "flight_delays", "table": "features", "column": "origin",
        "rule": "allowed values", "allowed": "EWR, JFK", "seen": "'LGA'",
    }  # fmt: skip
    assert facts["rows"] == 291 + 201  # the flights from LaGuardia
    assert storage.read_bytes(storage.relative(facts["audit"]))
    assert [alert["facts"]["rows"] for alert in told(landed, "partition_refused")] == [492]
    assert len(storage.list("staging")) == 2
    assert Table(landed, spec.name, "features").version() is None


@pytest.mark.parametrize(
    ("column", "rule", "change"),
    [
        ("dest", "pattern", ('pattern: "[A-Z]{3}"', 'pattern: "[A-M][A-Z]{2}"')),
        ("gust_mph", "not below the wind", ("gust_mph >= wind_mph", "gust_mph > wind_mph")),
    ],
)
def test_dbt_judges_patterns_and_rules_between_columns(landed, spec, own_project, column, rule, change):
    edit(own_project / "flight_delays_features.yml", change)

    with pytest.raises(RefusedPartition) as refused:
        features.refresh(landed, spec, D1, D1, CONTEXT)

    facts = refused.value.facts
    assert (facts["column"], facts["rule"], facts["partition"]) == (column, rule, D1)
    assert 0 < facts["rows"] < 958


def test_a_day_with_too_few_rows_is_refused_though_every_row_is_right(landed, spec, own_project):
    edit(own_project / "flight_delays_features.yml", ("volume: {at_least: 400", "volume: {at_least: 800"))

    with pytest.raises(RefusedPartition) as refused:
        features.refresh(landed, spec, D1, D3, CONTEXT)

    facts = refused.value.facts
    assert (facts["partition"], facts["rule"], facts["rows"], facts["seen"]) == (D2, "volume", 765, "765 rows")


def test_what_only_warns_is_published_and_told(landed, spec, own_project):
    edit(own_project / "flight_delays_features.yml", ("warmup_days: 29", "warmup_days: 0"))

    with pytest.raises(RefusedPartition, match="max_missing"):
        features.refresh(landed, spec, D1, D1, CONTEXT)  # the first day has no history at all
    summary = features.refresh(landed, spec, D3, D3, CONTEXT)

    assert summary["changed"] == 1
    assert f"{D3} plane_late_rate_28d: warn_missing" in " ".join(summary["warnings"])
    warned = told(landed, "audit_warning")
    assert len(warned) == len(summary["warnings"])
    assert {(alert["facts"]["partition"], alert["facts"]["table"]) for alert in warned} == {(D3, "features")}


def test_a_publication_says_which_contract_audit_and_raw_files_stand_behind_it(landed, spec):
    summary = features.refresh(landed, spec, D1, D2, CONTEXT)

    table = Table(landed, spec.name, "features")
    for ds in (D1, D2):
        inputs = table.partition(ds).inputs
        assert len(inputs["contract"]) == 64
        assert (inputs["audit"]["checks"], inputs["audit"]["warnings"]) == (summary["checks"], 0)
        assert Storage(landed).uri(inputs["audit"]["docs"]) == summary["audit"]
        assert Storage(landed).exists(inputs["audit"]["docs"])
        assert [name.split("/")[1] for name in inputs["raw"]["schedule"]] == [f"ds={ds}"]
    assert summary["warmup_days"] == 2


@pytest.mark.parametrize(
    ("change", "hole"),
    [
        ((", max_missing: 0.95, warn_missing: 0.75", ""), ("pressure_mb", "max_missing")),
        (("{nullable: false, at_least: 10, at_most: 6000}", "{nullable: false}"), ("distance_miles", "range")),
        (("        volume: {", "        warmup_days: 0 #"), (None, "volume")),
    ],
)
def test_a_contract_with_a_hole_is_refused_before_anything_is_built(landed, spec, own_project, change, hole):
    edit(own_project / "flight_delays_features.yml", ("        warmup_days: 29\n", ""), change)

    with pytest.raises(SpecError) as refused:
        features.refresh(landed, spec, D1, D1, CONTEXT)

    assert (refused.value.facts.get("column"), refused.value.facts["rule"]) == hole
    assert refused.value.facts["table"] == "features"
    assert [alert["facts"]["rule"] for alert in told(landed, "partition_refused")] == [hole[1]]
    assert Storage(landed).list("staging") == []
