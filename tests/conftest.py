"""A real Postgres and a local environment for the tests that need them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from proofs.postgres import new_environment, postgres


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A throw-away PostgreSQL server, from the same wheel that the embedded stack uses."""
    with postgres() as url:
        yield url


@pytest.fixture
def make_environment(postgres_url: str, tmp_path: Path):
    """Builds environments on a local folder, each with its own schema, migrated."""
    return partial(new_environment, postgres_url, tmp_path)


@pytest.fixture
def dev(make_environment):
    """The environment dev on a local folder and a fresh ledger schema."""
    return make_environment("dev")
