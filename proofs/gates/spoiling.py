"""Ways to put a bad input where the real refresh finds it: as a raw file, in dbt's own SQL, or after dbt wrote it."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imago.dbt.project import project_folder
from imago.features import refresh as refresh_module
from imago.storage import checksum_of
from proofs.gates.cases import DAY
from proofs.gates.mutators import Mutator, changes, put, then
from proofs.gates.world import World

Spoil = Callable[[World], AbstractContextManager[None]]


class Unchanged(Exception):
    """A mutation that changed nothing proves nothing."""


def edited(kind: str, mutator: Mutator, ds: str | None = DAY) -> Spoil:
    """The raw file of a kind (and day), changed and delivered anew with a checksum that fits."""

    @contextmanager
    def spoil(world: World) -> Iterator[None]:
        with world.putting_back():
            rel = world.raw(kind, ds)
            before = world.read(rel)
            after = mutator(before)
            if not changes(before, after):
                raise Unchanged(rel)
            world.deliver(rel, after)
            yield

    return spoil


def stale(kind: str, source: str, *mutators: Mutator) -> Spoil:
    """Another day's file under today's name; with mutators, which make it look more like today's, also its delivery."""

    @contextmanager
    def spoil(world: World) -> Iterator[None]:
        with world.putting_back():
            rows = world.read(world.raw(kind, source))
            if mutators:
                known_at = world.read(world.raw(kind, DAY))["known_at"][0].as_py()
                rows = then(*mutators, put("known_at", known_at))(rows)
            world.deliver(world.raw(kind, DAY), rows)
            yield

    return spoil


def with_rows_of(kind: str, other: str, count: int) -> Spoil:
    """Some of another day's rows among today's."""

    @contextmanager
    def spoil(world: World) -> Iterator[None]:
        with world.putting_back():
            rel = world.raw(kind, DAY)
            world.deliver(rel, pa.concat_tables([world.read(rel), world.read(world.raw(kind, other)).slice(0, count)]))
            yield

    return spoil


def bytes_of(kind: str, change: Callable[[bytes], bytes], *, fitting: bool, ds: str | None = DAY) -> Spoil:
    """The file's bytes changed: on the way (the checksum is that of the whole file), or at the source (`fitting`)."""

    @contextmanager
    def spoil(world: World) -> Iterator[None]:
        with world.putting_back():
            rel = world.raw(kind, ds)
            before = world.storage.read_bytes(rel)
            after = change(before)
            if before == after:
                raise Unchanged(rel)
            if fitting:
                world.deliver_bytes(rel, after)
            else:
                world.write(rel, after)
            yield

    return spoil


def checksum(kind: str, change: Callable[[bytes], bytes] | None) -> Spoil:
    """The checksum beside a file changed, or (None) not delivered; the file itself is good."""

    @contextmanager
    def spoil(world: World) -> Iterator[None]:
        with world.putting_back():
            rel = checksum_of(world.raw(kind, DAY))
            if change is None:
                world.remove(rel)
            else:
                world.write(rel, change(world.storage.read_bytes(rel)))
            yield

    return spoil


def never_came(kind: str, ds: str | None = DAY) -> Spoil:
    """No file at all."""

    @contextmanager
    def spoil(world: World) -> Iterator[None]:
        with world.putting_back():
            folder = f"raw/{kind}" if ds is None else f"raw/{kind}/ds={ds}"
            for rel in world.storage.list(folder):
                world.remove(rel)
            yield

    return spoil


def renamed_file(kind: str, stamp: str, mutator: Mutator | None = None) -> Spoil:
    """The file delivered at another moment, as its name says."""

    @contextmanager
    def spoil(world: World) -> Iterator[None]:
        with world.putting_back():
            rel = world.raw(kind, DAY)
            rows = world.read(rel)
            world.remove(rel)
            world.remove(checksum_of(rel))
            world.deliver(f"raw/{kind}/ds={DAY}/{stamp}.parquet", mutator(rows) if mutator else rows)
            yield

    return spoil


def parquet(rows: pa.Table) -> bytes:
    """A table as Parquet."""
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd")
    return buffer.getvalue()


# --- a wrong model ---------------------------------------------------------------------------------------------------

_TAIL = "select * from final\norder by ds, flight_key"
_SQL = "IMAGO_PROOF_SQL"


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the block, below the worker's own."""
    with tempfile.TemporaryDirectory(dir=os.environ["IMAGO_PROOF_FOLDER"]) as folder:
        yield Path(folder)


@contextmanager
def own_project(folder: Path) -> Iterator[Path]:
    """A copy of the dbt project that this process builds from, for the block."""
    shutil.copytree(project_folder(), folder, ignore=shutil.ignore_patterns("target", "logs"), dirs_exist_ok=True)
    before = os.environ.get("IMAGO_DBT_PROJECT")
    os.environ["IMAGO_DBT_PROJECT"] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            os.environ.pop("IMAGO_DBT_PROJECT", None)
        else:
            os.environ["IMAGO_DBT_PROJECT"] = before


def modelled(table: str, sql: str) -> Spoil:
    """The last query of the table's dbt model replaced by another over its rows, `final`.

    The query is read when dbt runs, so that the copy of the project is parsed once for all cases.
    """

    @contextmanager
    def spoil(world: World) -> Iterator[None]:
        folder = Path(os.environ["IMAGO_PROOF_FOLDER"]) / f"modelled-{table}"
        with world.putting_back(), own_project(folder):
            path = folder / f"models/{table}/flight_delays/flight_delays_{table}.sql"
            text = path.read_text()
            head, found, rest = text.partition(_TAIL)
            if not found or rest.strip():
                raise AssertionError(f"{path} does not end as this proof knows it")
            path.write_text(head + "{{ env_var('" + _SQL + "') }}\n")
            os.environ[_SQL] = sql
            try:
                yield
                _must_differ(world, table)
            finally:
                del os.environ[_SQL]

    return spoil


def _must_differ(world: World, table: str) -> None:
    """What dbt staged must not be what is published; where dbt itself refused the shape, nothing is staged."""
    published = world.table(table).require(DAY)
    for rel in world.storage.list("staging"):
        if not rel.endswith(f"_{table}.parquet"):
            continue
        staged = world.storage.read_parquet(rel)
        same_shape = set(staged.column_names) == set(published.column_names)
        if same_shape and not changes(published.select(staged.column_names), staged.sort_by("flight_key")):
            raise Unchanged(rel)


def written(table: str, mutator: Mutator, *, owned: bool = True) -> Spoil:
    """What dbt wrote, changed before the audit reads it: dbt's own tests have passed by then.

    `owned`: the build says that this is its file, so that the audit has to judge the rows; else it is somebody else's.
    """

    @contextmanager
    def spoil(world: World) -> Iterator[None]:
        real = refresh_module.build

        def build(env: Any, **told: Any) -> Any:
            built = real(env, **told)
            path = Path(told["staging"]) / f"{told['select'][0]}.parquet"
            before = pq.ParquetFile(io.BytesIO(path.read_bytes())).read()
            after = mutator(before)
            if not changes(before, after):
                raise Unchanged(path.name)
            data = parquet(after)
            path.write_bytes(data)
            if not owned:
                return built
            return replace(built, staged={**built.staged, path.stem: hashlib.sha256(data).hexdigest()})

        with world.putting_back():
            refresh_module.build = build
            try:
                yield
            finally:
                refresh_module.build = real

    return spoil
