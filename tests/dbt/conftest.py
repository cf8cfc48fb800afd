"""The shipped dbt project, run the way that the platform runs it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def dbt_home(tmp_path_factory: pytest.TempPathFactory):
    """One state folder for all tests: each target is parsed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGO_DBT_STAGING", str(tmp_path_factory.mktemp("staging")))
        patch.setenv("IMAGO_HOME", str(tmp_path_factory.mktemp("imago-home")))
        yield


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's folder."""
    from imago.dbt.project import project_folder

    return project_folder()
