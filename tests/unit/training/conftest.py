"""Fixtures of the toy world."""

from __future__ import annotations

import shutil

import pytest
from toy_world import make_spec, publish, rows


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory):
    """An MLflow store without runs. Making its tables takes seconds, so tests copy it."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(autouse=True)
def mlflow_store(empty_mlflow, tmp_path):
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")


PROJECT = "{name: toy, version: 1.0.0, profile: toy, model-paths: [models]}"
PROFILES = """
toy:
  target: dev
  outputs: {dev: &duckdb {type: duckdb, path: ":memory:"}, staging: *duckdb, prod: *duckdb}
"""
MODELS = """
models:
  - name: toy_features
    config: {contract: {enforced: true}}
    columns:
      - {name: gate, data_type: varchar, config: {meta: {values: [A, B, C]}}}
      - &number {name: risk, data_type: double precision, config: {meta: {at_least: -50, at_most: 50}}}
      - {<<: *number, name: noise}
  - name: leaking_features
    config: {contract: {enforced: true}}
    columns:
      - {name: gate, data_type: varchar, config: {meta: {values: [A, B, C]}}}
      - *number
      - {<<: *number, name: noise}
      - {<<: *number, name: final_status}
  - name: recent_features
    config: {contract: {enforced: true}}
    columns:
      - {name: gate, data_type: varchar, config: {meta: {values: [A, B, C]}}}
      - *number
      - {<<: *number, name: noise}
      - &recent {name: lately, data_type: double precision, config: {meta: {at_least: 0, at_most: 200}}}
      - {<<: *recent, name: often_early}
      - {<<: *recent, name: often_on_time}
      - {<<: *recent, name: often_late}
"""


@pytest.fixture(scope="session")
def toy_project(tmp_path_factory):
    """A dbt project that says the toy world's contract, parsed once."""
    folder = tmp_path_factory.mktemp("toy-dbt") / "dbt_project"
    (folder / "models").mkdir(parents=True)
    files = {"dbt_project.yml": PROJECT, "profiles.yml": PROFILES, "models/toy.yml": MODELS}
    files |= {f"models/{name}_features.sql": "select 1 as never_run" for name in ("toy", "leaking", "recent")}
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(autouse=True)
def toy_contract(toy_project, monkeypatch):
    monkeypatch.setenv("IMAGO_DBT_PROJECT", str(toy_project))
    monkeypatch.setenv("IMAGO_HOME", str(toy_project.parent))


@pytest.fixture
def spec():
    """The toy world's model."""
    return make_spec()


@pytest.fixture
def world(dev):
    """The toy world, published in a fresh environment dev."""
    publish(dev, *rows())
    return dev
