"""A day on Spark: the same slices, scored by the same code, published by the same publish as those of `scoring_parts`.

Spark is asked for machines and for trying again, and for nothing else. It hands out slices of the day's rows; each of
its Python workers loads the champion by the loader that everybody uses (digests first), proves the stored file of the
features before it reads its slice of it, and stages what `scoring_parts.score_slice` makes of it. So the rows are equal
to the last bit whatever the engine, no row passes through the JVM or the driver, and no worker needs the ledger.

In this process, where the environment's `spark_master` says (`score`); or as a job of EMR Serverless between two tasks:
`plan` writes an order, `main` runs in the job's driver and reads it, `publish` takes in what came of it.
"""

from __future__ import annotations

import functools
import json
import os
import pickle
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from imago import errors
from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError, MissingPartition
from imago.jobs import scoring_parts
from imago.jobs.scored_day import Assignment, DayScorer, champion_of, telling
from imago.specs import ModelSpec, get_model

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from imago.ledger.champions import Champion
    from imago.tables.days import StoredDay

ENTRY = "from imago.jobs.scoring_spark import main\n\nmain()\n"
# What a worker needs of an environment's settings: where the storage is. The rest stays at home.
_PLACE = ("name", "storage_root", "s3_endpoint", "s3_region")
_NOWHERE = {"ledger_url": "postgresql://none/none", "ledger_schema": "none", "mlflow_uri": "http://none",
            "registry_prefix": "", "dbt_target": "none", "alert_channel": "#none"}  # fmt: skip

Slice = Sequence[int]  # number, first row, row after the last


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a worker is told: the assignment, the ledger's row of the champion, the spec without what only a training
    needs, and where the storage is."""

    env: Environment
    spec: ModelSpec
    assignment: Assignment
    champion: Champion
    context: RunContext

    @classmethod
    def of(
        cls, env: Environment, spec: ModelSpec, assignment: Assignment, champion: Champion, context: RunContext
    ) -> Order:
        keys = {name: getattr(env, name) for name in ("s3_access_key", "s3_secret_key")}
        return cls(
            env=Environment.model_validate({**_NOWHERE, **{name: getattr(env, name) for name in _PLACE}, **keys}),
            spec=spec.model_copy(update={"candidates": (), "baselines": ()}),
            assignment=assignment,
            champion=champion,
            context=context,
        )

    def to_json(self, slices: Sequence[Slice]) -> bytes:
        """As it lies in the storage for a job on other machines: with the spec's name, and without any key."""
        told = {
            "env": {name: getattr(self.env, name) for name in _PLACE},
            "spec": self.spec.name,
            "assignment": self.assignment.as_dict(),
            "champion": self.champion.as_dict(),
            "context": asdict(self.context),
            "slices": [list(piece) for piece in slices],
        }
        return json.dumps(told, indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> tuple[Order, list[Slice]]:
        from imago.ledger.champions import Champion

        told = json.loads(data)
        champion = {**told["champion"], "decided_at": datetime.fromisoformat(told["champion"]["decided_at"])}
        order = cls.of(
            Environment.model_validate({**_NOWHERE, **told["env"]}),
            get_model(told["spec"]),
            Assignment(**told["assignment"]),
            Champion(**champion),
            RunContext(**told["context"]),
        )
        return order, told["slices"]

    @property
    def folder(self) -> str:
        """Where what belongs to it is staged."""
        return f"{scoring_parts.folder_of(self.spec, self.assignment)}/spark"


def score(env: Environment, spec: ModelSpec, ds: str, context: RunContext, champion: str = "as-was") -> dict[str, Any]:
    """What `scoring.score` does, on Spark. Raises as it does, and ImagoError when Spark cannot be had."""
    given, order = _planned(env, spec, ds, context, champion)
    with telling(env, spec, ds, context), session(env) as spark:
        parts = _unpacked(run(spark, order, given["slices"]))
    return scoring_parts.publish_parts(env, spec, given["assignment"], parts, context)


def plan(env: Environment, spec: ModelSpec, ds: str, context: RunContext, champion: str = "as-was") -> dict[str, Any]:
    """Binds the scoring of `ds` as `scoring_parts.plan` does, and leaves in the storage what a job on other machines
    is given: `entry`, the program, and `order`, its argument."""
    from imago.storage import Storage

    given, order = _planned(env, spec, ds, context, champion)
    storage = Storage(env)
    files = {"entry": (f"{order.folder}/entry.py", ENTRY.encode()),
             "order": (f"{order.folder}/order.json", order.to_json(given["slices"]))}  # fmt: skip
    for path, data in files.values():
        storage.write_bytes(path, data)
    return {**given, **{name: storage.uri(path) for name, (path, _) in files.items()}}


def main(arguments: Sequence[str] | None = None) -> None:
    """The program of a job: reads the order at the address that it is given, has its slices scored, and leaves beside
    it what came of them. A refusal is left there too, for `publish` to raise: another attempt would not help."""
    from pyarrow import fs

    from imago.storage import Storage

    (place,) = sys.argv[1:] if arguments is None else arguments
    filesystem, path = fs.FileSystem.from_uri(quote(place, safe="/:"))
    with filesystem.open_input_stream(path) as stream:
        order, slices = Order.from_json(stream.read())
    with session(order.env) as spark:
        told = run(spark, order, slices)
    Storage(order.env).write_bytes(f"{order.folder}/parts.json", json.dumps(told).encode())


def publish(env: Environment, spec: ModelSpec, given: Mapping[str, Any], context: RunContext) -> dict[str, Any]:
    """Publishes what a job left, as `scoring_parts.publish_parts` does. `given` is the plan's `assignment`."""
    from imago.storage import Storage

    assignment = Assignment(**given)
    path = f"{scoring_parts.folder_of(spec, assignment)}/spark/parts.json"
    try:
        told = json.loads(Storage(env).read_bytes(path))
    except FileNotFoundError:
        raise MissingPartition(
            "the Spark job left nothing",
            environment=env.name,
            model=spec.name,
            table="predictions",
            partition=assignment.ds,
            file=path,
            next_step="read the job's log, then clear the run from its first task on",
        ) from None
    with telling(env, spec, assignment.ds, context):
        parts = _unpacked(told)
    return scoring_parts.publish_parts(env, spec, given, parts, context)


def run(spark: SparkSession, order: Order, slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """Has all slices scored; for each what `scoring_parts.score_slice` tells of it, or the refusal."""
    sealed, pieces = pickle.dumps(order), [tuple(piece) for piece in slices]

    def work(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        for batch in batches:
            told = [json.dumps(_one(sealed, pieces[number])) for number in batch.column(0).to_pylist()]
            yield pa.RecordBatch.from_pydict({"told": told})

    # One task of Spark's for each slice.
    numbers = spark.range(0, len(pieces), 1, len(pieces))
    return [json.loads(row.told) for row in numbers.mapInArrow(work, "told string").collect()]


@contextmanager
def session(env: Environment) -> Iterator[SparkSession]:
    """The running Spark session; where there is none, one of our own, which ends with the block. Raises ImagoError."""
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise _no_spark(
            env, "PySpark is not installed", "install it (`make spark`, or pip install 'imago[spark]')"
        ) from None
    running = SparkSession.getActiveSession()
    if running is not None:
        yield running
        return
    # Else Spark takes the first `python3` of the path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("imago").config("spark.ui.enabled", "false")
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # else spark-submit started us, and has said where
        builder = builder.master(env.spark_master)
        if env.spark_master.startswith("local"):
            builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    try:
        spark = builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise _no_spark(env, f"Spark did not start: {str(error).splitlines()[0]}",
                        "install Java 17 or later, or set JAVA_HOME to it") from error  # fmt: skip
    try:
        yield spark
    finally:
        spark.stop()


def _planned(
    env: Environment, spec: ModelSpec, ds: str, context: RunContext, champion: str
) -> tuple[dict[str, Any], Order]:
    given = scoring_parts.plan(env, spec, ds, context, champion)
    assignment = Assignment(**given["assignment"])
    chosen = champion_of(env, spec, assignment)
    # Workers find the champion's reference, they do not make it.
    DayScorer(env, spec, assignment, chosen, context).reference  # noqa: B018
    return given, Order.of(env, spec, assignment, chosen, context)


def _one(sealed: bytes, piece: Slice) -> dict[str, Any]:
    """One slice, in a worker."""
    try:
        scorer, day, _ = _at_work(sealed)
        return scoring_parts.score_slice(scorer, day, piece)
    except ImagoError as refusal:
        return {"refused": type(refusal).__name__, "message": refusal.message, "next_step": refusal.next_step,
                "facts": refusal.facts}  # fmt: skip


@functools.lru_cache(maxsize=1)
def _at_work(sealed: bytes) -> tuple[DayScorer, StoredDay, ExitStack]:
    """The champion and the day's proved file, which a worker keeps open from slice to slice."""
    order: Order = pickle.loads(sealed)
    scorer = DayScorer(order.env, order.spec, order.assignment, order.champion, order.context)
    opened = ExitStack()
    day = opened.enter_context(scorer.features())
    scorer.check(day)
    return scorer, day, opened


def _unpacked(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What came of the slices. Raises the first refusal among them, as it was raised in the worker."""
    for one in told:
        if "refused" in one:
            kind = getattr(errors, one["refused"], ImagoError)
            raise kind(one["message"], next_step=one["next_step"], **one["facts"])
    return told


def _no_spark(env: Environment, what: str, step: str) -> ImagoError:
    return ImagoError(
        what,
        environment=env.name,
        rule="scoring.engine",
        allowed="arrow, which needs neither Spark nor Java",
        seen="spark",
        next_step=f"{step}, or let the spec say scoring=Scoring(engine='arrow')",
    )
