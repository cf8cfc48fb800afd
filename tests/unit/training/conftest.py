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


@pytest.fixture
def spec():
    """The toy world's model."""
    return make_spec()


@pytest.fixture
def world(dev):
    """The toy world, published in a fresh environment dev."""
    publish(dev, *rows())
    return dev
