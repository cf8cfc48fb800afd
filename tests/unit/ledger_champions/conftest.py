"""Fixtures of the registered world."""

from __future__ import annotations

import shutil

import pytest
from registered_world import World


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory):
    """An MLflow store without runs. Making its tables takes seconds, so tests copy it."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def world(make_environment, empty_mlflow, tmp_path):
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    return World(make_environment("dev", keep_reigns=2))
