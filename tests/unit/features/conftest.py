"""Three days of flights, landed."""

from __future__ import annotations

from pathlib import Path

import pytest

from imago.context import RunContext
from imago.specs import ModelSpec, get_model

FIRST, LAST = "2013-03-01", "2013-03-03"
CONTEXT = RunContext(run_id="test")


@pytest.fixture(scope="session")
def kept_manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state folder for all tests, so that the dbt project is parsed once."""
    return tmp_path_factory.mktemp("imago-home")


@pytest.fixture
def spec() -> ModelSpec:
    """The shipped model in a world that begins on the first landed day."""
    return get_model("flight_delays").model_copy(update={"first_day": FIRST})


@pytest.fixture
def landed(dev, kept_manifests, monkeypatch):
    """The environment dev with the raw files of three days."""
    from imago.jobs.landing import land

    monkeypatch.setenv("IMAGO_HOME", str(kept_manifests))
    land(dev, FIRST, LAST, CONTEXT)
    return dev
