"""The worlds beside the flights, each built once for all tests, in a process that hosts these models and no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from imago_testing.worlds import WORLDS, write_project
from imago_testing.worlds.building import Built, build, hosting
from proofs.postgres import new_environment

HOSTED = "imago_testing.worlds:MODELS"


@pytest.fixture(scope="session")
def world_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dbt project of the worlds."""
    return write_project(tmp_path_factory.mktemp("worlds-dbt") / "dbt_project")


@pytest.fixture(autouse=True)
def _hosted(world_project: Path) -> Iterator[None]:
    with hosting(HOSTED, world_project):
        yield


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without runs. Making its tables takes seconds, so each environment gets a copy."""
    from mlflow.tracking import MlflowClient

    store = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{store}").search_experiments()
    return store


@pytest.fixture(scope="session")
def build_once(
    postgres_url: str, world_project: Path, tmp_path_factory: pytest.TempPathFactory, empty_store: Path
) -> Callable[[str], Built]:
    """`build_once("parcels")`: the world in an environment of its own, refreshed, trained, scored, monitored and
    measured. What a test changes in it stays changed: each test has days of its own."""

    @cache
    def once(name: str) -> Built:
        folder = tmp_path_factory.mktemp(name)
        shutil.copy(empty_store, folder / "mlflow.db")
        with hosting(HOSTED, world_project):
            return build(WORLDS[name], new_environment(postgres_url, folder), "monitored")

    return once


@pytest.fixture(params=list(WORLDS))
def built(request: pytest.FixtureRequest, build_once: Callable[[str], Built]) -> Built:
    """Each world in turn."""
    return build_once(request.param)
