"""Contracts that do not fit their spec are refused before any row is made, with the column and what to write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from champion_world import LIVE, SPEC
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imago.contracts import Column, Contract
from imago.dbt import declared
from imago.errors import RefusedPartition, SpecError
from imago.jobs import metrics
from imago.specs import BusinessMetric, get_model

KEYS = (*SPEC.entity_keys, "ds", SPEC.event_time)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
MANY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


def contract(name: str, *columns: str, data_type: str = "double precision") -> Contract:
    return Contract(model=name, columns=tuple(Column(name=column, data_type=data_type) for column in columns))


def priced(column: str):
    business = BusinessMetric(name="saved", unit="GBP", caught=1.0, false_alarm=-1.0, missed=0.0, column=column)
    return SPEC.model_copy(update={"business": business, "metrics_model": "toy_metrics"})


def test_a_feature_of_the_spec_that_the_contract_lacks_is_refused(dev):
    declared.check_features(dev, SPEC, contract("f", *KEYS, *SPEC.feature_names))

    with pytest.raises(SpecError, match="in the spec but not in the dbt contract"):
        declared.check_features(dev, SPEC, contract("f", *KEYS, *SPEC.feature_names[1:]))
    with pytest.raises(SpecError, match="engines stands in the dbt contract but not in the spec"):
        declared.check_features(dev, SPEC, contract("f", *KEYS, *SPEC.feature_names, "engines"))


@MANY
@given(st.sampled_from(SPEC.feature_names))
def test_an_outcome_column_with_a_features_name_is_no_leak_yet_and_both_ways_out_are_named(dev, name):
    features = contract("toy_features", *KEYS, *SPEC.feature_names)
    declared.check_apart(dev, SPEC, features, contract("toy_outcomes", *KEYS, SPEC.label))

    with pytest.raises(SpecError) as refused:
        declared.check_apart(dev, SPEC, features, contract("toy_outcomes", *KEYS, SPEC.label, name))

    error = refused.value
    assert error.message == f"the feature {name} and a column of the outcomes have the same name"
    assert (error.facts["model"], error.facts["column"]) == (SPEC.name, name)
    for words in ("toy_outcomes.sql", f"outcome_{name}", "known at prediction time", "leak", "toy_features.yml"):
        assert words in error.next_step


@MANY
@given(column=NAMES, others=st.sets(NAMES, max_size=5), data_type=st.sampled_from(["double precision", "bigint"]))
def test_the_value_column_is_the_one_that_the_spec_names_and_its_absence_is_refused(dev, column, others, data_type):
    others -= {column, "ds", "slice"}
    if column in ("ds", "slice"):
        return
    spec = priced(column)
    declared.check_metrics_contract(dev, spec, contract("m", "ds", "slice", *others, column, data_type=data_type))

    with pytest.raises(SpecError) as refused:
        declared.check_metrics_contract(dev, spec, contract("m", "ds", "slice", *sorted(others)))

    assert f"the column {column} of the metrics model m" in refused.value.message
    assert refused.value.facts["column"] == column
    assert "BusinessMetric(column=" in refused.value.next_step
    assert f"call it {column} in m.sql and m.yml" in refused.value.next_step


@pytest.mark.parametrize("missing", ["ds", "slice"])
def test_a_metrics_model_without_day_or_slice_is_refused(dev, missing):
    columns = {"ds", "slice", "business_value"} - {missing}
    with pytest.raises(SpecError, match=f"has no column {missing}"):
        declared.check_metrics_contract(dev, priced("business_value"), contract("m", *columns))


def test_a_value_that_is_text_is_refused(dev):
    text = contract("m", "ds", "slice", "business_value", data_type="varchar")
    with pytest.raises(SpecError, match="is no number"):
        declared.check_metrics_contract(dev, priced("business_value"), text)


@pytest.fixture
def pounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped dbt project, whose metrics model counts in pounds."""
    from imago.dbt.project import project_folder

    folder = tmp_path / "dbt_project"
    shutil.copytree(project_folder(), folder, ignore=shutil.ignore_patterns("target", "logs"))
    for file in (folder / "models" / "metrics" / "flight_delays").iterdir():
        file.write_text(file.read_text().replace("business_value", "value_gbp"))
    monkeypatch.setenv("IMAGO_DBT_PROJECT", str(folder))
    monkeypatch.setenv("IMAGO_HOME", str(tmp_path / "home"))
    return folder


def test_another_name_in_the_real_project_stops_every_refresh_until_the_spec_says_it(dev, pounds):
    from imago.jobs import features, outcomes

    spec = get_model("flight_delays")
    for refresh in (features.refresh, outcomes.refresh):
        with pytest.raises(SpecError, match="business_value") as refused:
            refresh(dev, spec, "2013-03-01", "2013-03-01", LIVE)
        assert 'BusinessMetric(column="value_gbp")' in refused.value.next_step
        assert "value_gbp" in refused.value.facts["allowed"]
    with pytest.raises(SpecError, match="business_value"):
        metrics.refresh(dev, spec, "2013-03-01", LIVE)
    with pytest.raises(SpecError, match="business_value"):
        declared.check_contracts(dev, spec)

    named = spec.model_copy(update={"business": spec.business.model_copy(update={"column": "value_gbp"})})
    assert "flight_delays_daily_metrics" in declared.check_contracts(dev, named)
    day = "2013-10-01"
    row = {"ds": day, "slice": "all", "rows": 3, "caught": 1, "false_alarms": 2, "missed": 0, "quiet": None}
    read = metrics.read_metrics(dev, named, day, [{**row, "value_gbp": -12.5}])
    assert read == {"all": {"business_value": -12.5, "caught": 1.0, "false_alarms": 2.0, "missed": 0.0}}
    plain = named.model_copy(update={"business": None})
    assert metrics.read_metrics(dev, plain, day, [{**row, "value_gbp": 7}])["all"]["value_gbp"] == 7.0
    for rows, rule in (
        ([], "a row for all rows together"),
        ([{**row, "slice": "shop=1", "value_gbp": 1.0}], "a row for all rows together"),
        ([{**row, "value_gbp": None}], "the business value is a finite number"),
        ([{**row, "value_gbp": float("nan")}], "the business value is a finite number"),
        ([{**row, "ds": "2013-10-02", "value_gbp": 1.0}], "only the asked day"),
        ([{**row, "value_gbp": 1.0}, {**row, "value_gbp": 2.0}], "a row for each slice"),
    ):
        with pytest.raises(RefusedPartition) as unfit:
            metrics.read_metrics(dev, named, day, rows)
        assert unfit.value.facts["rule"] == rule
        assert f"imago run metric_refresh {named.name} --ds {day} --env dev" in unfit.value.next_step
