"""Real flights for the proofs that need some: landed, built by dbt, published, and kept as files for all readers."""

from __future__ import annotations

import os
import uuid
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from imago.days import days_between
from imago.environments import Environment
from imago.jobs.landing import land
from imago.specs import ModelSpec, get_model
from imago.tables import Table
from proofs.gates.world import CONTEXT, FIRST, LAST, TABLES, World
from proofs.postgres import new_environment

SPEC: ModelSpec = get_model("flight_delays")


def build(url: str, folder: Path, last: str = LAST) -> Environment:
    """Builds the year, or the part of it until `last`, in an environment of its own, and keeps both tables as files."""
    world = World(new_environment(url, folder / "year"))
    land(world.env, FIRST, last, CONTEXT)
    for name in TABLES:
        world.refresh(name, FIRST, last)
        pq.write_table(world.table(name).read(days_between(FIRST, last)), _file(folder, name))
    return world.env


def table(folder: Path, name: str) -> pa.Table:
    """The features or the outcomes of the year."""
    return pq.read_table(_file(folder, name))


@cache
def rows(folder: Path) -> pa.Table:
    """What a snapshot of the whole year would hold: features and labels, ordered by day and key."""
    from imago.training.snapshot import join

    return join(table(folder, "features"), table(folder, "outcomes"), SPEC)


def environment(url: str, folder: Path, mlflow: str) -> Environment:
    """An empty environment dev, with a storage root of its own and a copy of the empty MLflow store."""
    name = uuid.uuid4().hex[:10]
    return new_environment(url, folder / name, mlflow_uri=_database(url, f"mlflow_{name}", mlflow))


def publish(env: Environment, name: str, data: pa.Table) -> None:
    """Publishes rows of the year, or what a case made of them, as the table's newest version."""
    found = Table(env, SPEC.name, name)
    days = sorted(set(data.column("ds").to_pylist()))
    found.publish(data, days=days, key=SPEC.entity_keys, fence=found.draw_fence(), context=CONTEXT)


def mlflow_store(url: str) -> str:
    """A database for MLflow on the same server, with MLflow's own tables and nothing else."""
    from mlflow.tracking import MlflowClient

    store = _database(url, "mlflow")
    MlflowClient(tracking_uri=store).search_experiments()
    return store


def _database(url: str, name: str, template: str = "") -> str:
    from sqlalchemy import create_engine, make_url, text

    like = f" TEMPLATE {make_url(template).database}" if template else ""
    with create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}{like}"))
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _file(folder: Path, name: str) -> Path:
    os.makedirs(folder, exist_ok=True)
    return folder / f"{name}.parquet"
