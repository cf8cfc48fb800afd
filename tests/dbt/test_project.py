"""The dbt project: its unit tests, its layout, its targets, and that it offers what the specs ask for."""

from __future__ import annotations

import json

import pytest
from dbt.cli.main import dbtRunner

from imago.contracts.contract import NUMERIC
from imago.dbt import contract_of
from imago.dbt.project import arguments, manifest
from imago.specs import get_model
from imago_models import MODELS

VARIABLES = {
    "first_day": "2013-03-30",
    "last_day": "2013-03-31",
    "storage_root": "/nowhere",
    "predictions_files": ["/nowhere/predictions.parquet"],
    "outcomes_files": ["/nowhere/outcomes.parquet"],
    "price_caught": 1, "price_false_alarm": -1, "price_missed": -1, "price_quiet": 0,
}  # fmt: skip
ALL_TARGETS = ("dev", "staging", "prod", "athena", "redshift")


def invoke(command: str, target: str, scratch, *more: str, graph=None):
    return dbtRunner(manifest=graph).invoke(
        [command, *arguments(target, str(scratch)), "--vars", json.dumps(VARIABLES), *more]
    )


def test_the_unit_tests_of_the_models_pass(tmp_path, monkeypatch):
    declared = {node.name for node in manifest("dev").unit_tests.values()}
    # dbt asks the database for the columns of the mocked tables, so one is built first, without a row.
    monkeypatch.setitem(VARIABLES, "raw_files", {"outcomes": []})
    built = invoke("run", "dev", tmp_path, "--select", "stg_outcomes", graph=manifest("dev"))
    ran = invoke("test", "dev", tmp_path, "--select", "test_type:unit", graph=manifest("dev"))

    assert built.success
    assert ran.success, [result.message for result in ran.result.results if result.message]
    assert {result.node.name for result in ran.result.results} == declared
    assert len(declared) >= 5


@pytest.mark.parametrize("target", ALL_TARGETS)
def test_every_target_parses(target):
    assert {node.name for node in manifest(target).nodes.values() if node.resource_type == "model"} >= {
        "flight_delays_features", "flight_delays_outcomes", "flight_delays_daily_metrics",
    }  # fmt: skip


@pytest.mark.parametrize("target", ["athena", "redshift"])
def test_the_models_compile_for_a_warehouse_without_a_connection(target, tmp_path):
    ran = invoke("compile", target, tmp_path, "--no-populate-cache", "--no-introspect", graph=manifest(target))

    assert ran.success, ran.exception
    sql = {r.node.name: r.node.compiled_code for r in ran.result.results if r.node.resource_type == "model"}
    assert len(sql) == 9
    for name, text in sql.items():
        assert "read_parquet" not in text, name
        assert "/nowhere" not in text, name
    # The history of the first day begins 29 days before it.
    assert "where ds between '2013-03-01' and '2013-03-31'" in sql["stg_outcomes"]
    # 00:00 in New York, before and after the clocks went forward on 10 March.
    assert "cast('2013-03-30 04:00:00' as timestamp)" in sql["flight_delays_features"]


def test_every_model_has_one_yml_beside_it(project):
    models = sorted((project / "models").rglob("*.sql"))

    assert models
    assert [path for path in models if not path.with_suffix(".yml").is_file()] == []


def test_every_model_that_is_read_later_has_an_enforced_contract_and_tests_on_its_key():
    graph = manifest("dev")
    tested = {node.name: set() for node in graph.nodes.values()}
    for node in graph.nodes.values():
        if node.resource_type == "test":
            tested[node.attached_node.rsplit(".", 1)[-1]].add(node.test_metadata.name)
    for node in graph.nodes.values():
        if node.resource_type == "model":
            assert tested[node.name] & {"unique", "unique_together"}, node.name
            if node.config.materialized == "staged":
                assert node.contract.enforced, node.name
                assert {"not_empty", "within_contract", "in_run"} <= tested[node.name], node.name


@pytest.mark.parametrize("spec", [spec for spec in MODELS if spec.feature_model], ids=lambda spec: spec.name)
def test_the_contract_offers_exactly_the_features_of_the_spec(spec):
    contract = contract_of(spec.feature_model, "dev")
    types = {column.name: column.data_type for column in contract.columns}
    keys = {*spec.entity_keys, "ds", spec.event_time}

    assert set(types) - keys == set(spec.feature_names)
    for feature in spec.features:
        allowed = NUMERIC if feature.kind == "numeric" else {"varchar"}
        assert types[feature.name] in allowed, feature.name
    assert spec.label in contract_of(spec.outcome_model, "dev").names


def test_a_model_names_no_path_or_day_in_its_config(project):
    """A kept manifest would freeze it: day 7 was once written into day 1's path."""
    for node in manifest("dev").nodes.values():
        if node.resource_type == "model":
            assert node.config.get("location") is None, node.name
            assert "var(" not in json.dumps(node.unrendered_config), node.name


def test_the_documentation_names_every_feature(project):
    text = (project.parent / "docs" / "data.md").read_text()

    assert [f.name for f in get_model("flight_delays").features if f"`{f.name}`" not in text] == []
