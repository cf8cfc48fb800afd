"""Scoring one day, beside what one would run instead: `python -m benchmarks.scoring`.

    python -m benchmarks.scoring                       2M rows in turns, then 10M and 40M for the memory
    python -m benchmarks.scoring --rows 200000 --memory 400000 800000

The rows are real flights of January to March, repeated under keys of their own; the champion is fitted on them. All
contenders read the same Parquet file, use the same fitted pipeline and may use all cores, and write their predictions
as zstd Parquet. Imago's job does more: it proves the file it reads, checks each row against the contract, profiles the
day, digests the rows, and commits with its provenance; what these cost is also measured by itself.

Targets: without profile and digest 2.5 times the rows a second of pandas + `mlflow.pyfunc`; the whole job at most 10
times slower than copying the same Parquet, at most 600 MB at 10M rows and the same at 40M. Exit code 1 when one is
missed. Seconds of the processor hold better than the wall clock where the machine does other work.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.scoring_world import DAY, SPEC, World, made
from benchmarks.timing import Contender, machine, take_turns
from imago.environments import Environment
from imago.tables import Table
from imago.tables.files import COMPRESSION, ROW_GROUP
from proofs.postgres import postgres

NUMBERS = [feature.name for feature in SPEC.features if feature.kind == "numeric"]
ROUNDS = 3
FASTER, SLOWER, MEGABYTES = 2.5, 10.0, 600.0
GROWTH = 1.1  # how much more memory four times the rows may take and still be called the same


def copied(source: Path, target: Path) -> None:
    """The file, read and written again batch by batch."""
    with pq.ParquetFile(source) as file, pq.ParquetWriter(target, file.schema_arrow, compression=COMPRESSION) as writer:
        for batch in file.iter_batches(batch_size=ROW_GROUP):
            writer.write_batch(batch)


def with_pandas(world: World, source: Path, target: Path) -> None:
    """A frame, `mlflow.pyfunc`, a frame."""
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(world.flavor))
    frame = pd.read_parquet(source)
    # As the pipeline was fitted: doubles, and an empty text for a missing category.
    inputs = frame[list(SPEC.feature_names)].astype(dict.fromkeys(NUMBERS, "float64"))
    texts = [name for name in SPEC.feature_names if name not in NUMBERS]
    inputs[texts] = inputs[texts].fillna("")
    scores = model.predict(inputs)[:, 1]
    told = frame[[*SPEC.entity_keys, SPEC.event_time]].assign(score=scores, decision=scores >= SPEC.decision_threshold)
    told.to_parquet(target, compression=COMPRESSION)


class Spark:
    """A local Spark with `mlflow.pyfunc.spark_udf`; `missing` says why there is none."""

    def __init__(self) -> None:
        self.missing = ""
        if importlib.util.find_spec("pyspark") is None:
            self.missing = "pyspark is not installed: pip install 'imago[spark]'"
        elif shutil.which("java") is None:
            self.missing = "there is no Java"
        else:
            # The workers must run the interpreter that the driver runs.
            os.environ["PYSPARK_PYTHON"] = sys.executable
            from pyspark.sql import SparkSession

            self.session = (
                SparkSession.builder.master(f"local[{os.cpu_count()}]")
                .config("spark.ui.enabled", "false")
                .config("spark.driver.host", "127.0.0.1")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.driver.memory", "4g")
                .config("spark.sql.parquet.compression.codec", COMPRESSION)
                .getOrCreate()
            )
            self.session.sparkContext.setLogLevel("ERROR")

    def run(self, world: World, source: Path, target: Path) -> None:
        """Reads, scores, writes."""
        import mlflow.pyfunc
        from pyspark.sql.functions import col, struct

        udf = mlflow.pyfunc.spark_udf(self.session, str(world.flavor), result_type="array<double>", env_manager="local")
        frame = self.session.read.parquet(str(source))
        inputs = [col(name).cast("double").alias(name) if name in NUMBERS else col(name) for name in SPEC.feature_names]
        score = udf(struct(*inputs)).getItem(1)
        told = frame.select(*SPEC.entity_keys, SPEC.event_time, score.alias("score"))
        told.withColumn("decision", told["score"] >= SPEC.decision_threshold).write.mode("overwrite").parquet(
            str(target)
        )


def streamed(world: World, target: Path) -> None:
    """Imago without profile, digest and commit: the file is proved, its rows are judged, scored and written."""
    from imago.scoring.predictions import BATCH_ROWS
    from imago.scoring.stream import in_order, workers

    scorer = world.day_scorer()
    with scorer.features() as day, pq.ParquetWriter(target, scorer.schema, compression=COMPRESSION) as writer:
        for answer in in_order(scorer.predictor.answer, day.batches(BATCH_ROWS), workers()):
            writer.write_batch(answer.rows)


def profiled(world: World) -> float:
    """Seconds of one thread to profile the day: its features, and scores as they are stored."""
    from imago.monitoring.profiles import Profile
    from imago.monitoring.reference import profiled_columns
    from imago.scoring.predictions import BATCH_ROWS

    scorer, seconds = world.day_scorer(), 0.0
    with scorer.features() as day:
        for batch in day.batches(BATCH_ROWS):
            answer = scorer.predictor.answer(batch).rows
            told = dict(zip(answer.schema.names, answer.columns, strict=True))
            started = time.perf_counter()
            Profile.of(profiled_columns(batch, SPEC.feature_names, told), scorer.reference.profile)
            seconds += time.perf_counter() - started
    return seconds


def digested(world: World) -> float:
    """Seconds of one thread to digest the stored predictions."""
    from imago.tables.digest import ContentDigest

    table, seconds = Table(world.env, SPEC.name, "predictions"), 0.0
    with table.stream(DAY, key=SPEC.entity_keys) as day:
        digest = ContentDigest(day.schema)
        for batch in day.batches(ROW_GROUP):
            started = time.perf_counter()
            digest.update(batch)
            seconds += time.perf_counter() - started
    return seconds


def equal(world: World, pandas_made: Path) -> bool:
    """Whether Imago's stored scores are those of pandas + pyfunc, to the tolerance of the export."""
    ours = Table(world.env, SPEC.name, "predictions").require(DAY, columns=["score"]).column("score").to_numpy()
    theirs = pq.read_table(pandas_made, columns=["score"]).column("score").to_numpy()
    return len(ours) == len(theirs) and bool(np.abs(ours - theirs).max() <= 1e-5)


def compare(world: World, rows: int, rounds: int, folder: Path) -> bool:
    """Takes turns, prints the table; whether a target was missed."""
    source = world.features(rows)
    spark = Spark()
    out = {name: folder / f"{name}.parquet" for name in ("copy", "pandas", "spark", "stream")}

    def job() -> None:
        world.forget("predictions", "profiles")
        world.score()

    processor: dict[str, list[float]] = {}

    def contender(name: str, run: Callable[[], None], rounds: int) -> Contender:
        def counted(_: int) -> None:
            started = time.process_time()
            run()
            processor.setdefault(name, []).append(time.process_time() - started)

        return Contender(name, counted, rounds)

    copy = contender("copying the same Parquet", lambda: copied(source, out["copy"]), rounds)
    whole = contender("Imago: the whole job", job, rounds)
    bare = contender("Imago without profile and digest", lambda: streamed(world, out["stream"]), rounds)
    pandas = contender("pandas + mlflow.pyfunc", lambda: with_pandas(world, source, out["pandas"]), rounds)
    contenders = [copy, whole, bare, pandas]
    if spark.missing:
        print(f"spark_udf is not measured: {spark.missing}")
    else:
        contenders.append(Contender("spark_udf, local", lambda _: spark.run(world, source, out["spark"]), 1))
    world.score()
    take_turns(contenders)

    print(f"\n| {rows:,} rows of {len(SPEC.features)} features, {world.candidate} "
          "| rows/s | times pandas | seconds | of processor |")  # fmt: skip
    print("|---|---:|---:|---:|---:|")
    for one in contenders:
        used = f"{statistics.median(processor[one.name]):.2f}" if one.name in processor else "in other processes"
        times = pandas.median / one.median
        print(f"| {one.name} | {rows / one.median:,.0f} | {times:.2f} | {one.median:.2f} | {used} |")
    for name, seconds in (
        ("its profile, on one thread", profiled(world)),
        ("its digest, on one thread", digested(world)),
    ):
        print(f"| Imago: {name} | {rows / seconds:,.0f} | | {seconds:.2f} | |")
    same = equal(world, out["pandas"])
    print(f"\nThe scores are those of pandas + pyfunc (to 1e-5): {'yes' if same else 'NO'}.")
    faster, slower = pandas.median / bare.median, whole.median / copy.median
    met = [
        _verdict(
            f"without profile and digest {faster:.2f} times the rows/s of pandas + pyfunc",
            faster >= FASTER,
            f"at least {FASTER}",
        ),
        _verdict(f"the whole job {slower:.1f} times slower than copying", slower <= SLOWER, f"at most {SLOWER:g}"),
    ]
    return not (same and all(met))


def memory(world: World, sizes: list[int]) -> bool:
    """Scores days of these sizes, each in a process of its own; whether a target was missed."""
    peaks = []
    for rows in sizes:
        world.features(rows)
        world.forget("predictions", "profiles")
        told = _in_a_process(world.env)
        peaks.append(told["peak_mb"])
        print(f"{rows:,} rows: peak {told['peak_mb']:.0f} MB, {rows / told['seconds']:,.0f} rows/s with the start")
    flat = peaks[-1] / peaks[0]
    met = [
        _verdict(f"peak {max(peaks):.0f} MB", max(peaks) <= MEGABYTES, f"at most {MEGABYTES:g} MB"),
        _verdict(f"{flat:.2f} times the memory at {sizes[-1] / sizes[0]:g} times the rows", flat <= GROWTH,
                 f"the same, at most {GROWTH}"),
    ]  # fmt: skip
    return not all(met)


def _in_a_process(env: Environment) -> dict[str, float]:
    plain = {name: value.get_secret_value() if hasattr(value, "get_secret_value") else value
             for name, value in env.model_dump().items()}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scoring_alone"],
        input=json.dumps({"environment": plain, "model": SPEC.name, "ds": DAY}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _verdict(what: str, met: bool, target: str) -> bool:
    print(f"{what} (target: {target}): {'met' if met else 'NOT MET'}")
    return met


def main(given: list[str] | None = None) -> int:
    """Prints the tables; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000, help="of the comparison")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--memory", type=int, nargs="*", default=[10_000_000, 40_000_000], help="rows of each day")
    parser.add_argument("--candidate", default="gradient_boosting", help="which candidate of the spec is champion")
    told = parser.parse_args(given)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    print(f"Scoring of {SPEC.name}: {machine()}", flush=True)
    with postgres() as url, tempfile.TemporaryDirectory(prefix="imago-bench-") as folder:
        world = made(url, Path(folder), told.candidate)
        missed = compare(world, told.rows, told.rounds, Path(folder)) if told.rows else False
        missed |= memory(world, told.memory) if told.memory else False
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
