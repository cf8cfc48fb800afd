"""A real Postgres and a local environment for the tests that need them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from imago.environments import Environment
from imago.stack.settings import StackSettings
from proofs import seaweed
from proofs.postgres import new_environment, postgres

# What a terminal asks for changes what is printed, and with it what the tests read.
for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"):
    os.environ.pop(name, None)


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


@pytest.fixture(scope="session")
def object_store() -> Iterator[StackSettings]:
    """A throw-away S3 server, the one of the embedded stack."""
    with seaweed.object_store() as settings:
        yield settings


@pytest.fixture
def make_on_s3(postgres_url: str, tmp_path: Path, object_store: StackSettings):
    """Builds environments on that server, each with a prefix of the bucket and a ledger schema of its own."""

    def make(name: str = "dev", **changes: Any) -> Environment:
        place = seaweed.on_s3(object_store, name, prefix=uuid.uuid4().hex[:10])
        return new_environment(postgres_url, tmp_path, name, **place, **changes)

    return make


@pytest.fixture
def glue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an empty Glue catalog in this process, which whoever asks for Glue meanwhile finds too."""
    import boto3
    import httpx
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", f"http://{host}:{port}")
    client = boto3.client(
        "glue", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none"
    )  # fmt: skip
    yield client
    # An account's catalog lives as long as the process.
    httpx.post(f"http://{host}:{port}/moto-api/reset").raise_for_status()
    server.stop()
