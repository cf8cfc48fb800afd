"""What publishing one day costs, against a bare `pq.write_table` of the same rows: `python -m benchmarks.publish`.

The rows are synthetic and have the columns of the shipped feature table (34: texts and doubles). Both sides write the
same compression into the same folder's file system. Publishing has all of its duties: the digest of the rows, the check
of keys and fences, the Parquet file and its sha256, the Delta commit, the ledger row in a real Postgres.

Each round takes all cases in turn, so that a busy moment of the machine hits them alike; the medians are compared.

    python -m benchmarks.publish --rows 10000 --rounds 15
    python -m benchmarks.publish --rows 1000000
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imago.context import RunContext
from imago.days import days_between
from imago.environments import Environment
from imago.specs import get_model
from imago.tables import Table
from imago.tables.files import COMPRESSION
from proofs.postgres import new_environment, postgres

SPEC = get_model("flight_delays")
CONTEXT = RunContext(run_id="benchmark", code_commit="benchmark")
DAY = "2013-10-01"
TARGETS = {10_000: 5.0, 1_000_000: 2.0}
ROUNDS = {10_000: 21, 1_000_000: 7}


def feature_rows(rows: int, ds: str = DAY, seed: int = 0) -> pa.Table:
    """Rows like those of a refresh: its columns and types, ordered by key, about as many distinct values."""
    draw = np.random.default_rng(seed)
    texts = {feature.name: feature.kind == "categorical" for feature in SPEC.features}
    columns: dict[str, Any] = {
        "flight_key": [f"{ds}-UA{number:07d}-EWR-0515" for number in range(rows)],
        "ds": pa.repeat(ds, rows),
        "event_time": pa.array(1_380_600_000_000_000 + draw.integers(0, 1440, rows) * 60_000_000, pa.timestamp("us")),
    }
    for name, text in texts.items():
        if text:
            words = np.array([f"{name[:3].upper()}{n}" for n in range(20)])
            columns[name] = words[draw.integers(0, 20, rows)]
        else:  # shares and measurements: a few hundred distinct values, some missing
            values = draw.integers(0, 300, rows) / draw.integers(1, 4) / 7
            columns[name] = pa.array(values, mask=draw.random(rows) < 0.03)
    return pa.table(columns)


def changed(rows: pa.Table, by: float) -> pa.Table:
    """The same rows but for one column: what a correction does."""
    name = SPEC.features[-1].name
    values = pa.array(np.full(rows.num_rows, by))
    return rows.set_column(rows.column_names.index(name), name, values)


def measure(env: Environment, rows: int, rounds: int, history: int) -> dict[str, list[float]]:
    """Seconds of each case in each round."""
    data = feature_rows(rows)
    shuffled = data.take(np.random.default_rng(1).permutation(rows)).combine_chunks()
    table = Table(env, SPEC.name, "features")
    for ds in days_between("2013-01-01", "2013-12-31")[:history]:
        publish(table, feature_rows(10, ds), ds)
    target = Path(env.storage_root) / "bare.parquet"
    fresh = iter(days_between("2014-01-01", "2014-12-31"))
    publish(table, data, DAY)
    seconds: dict[str, list[float]] = {}
    for number in range(rounds):
        first = next(fresh)
        new = data.set_column(1, "ds", pa.repeat(first, rows))
        corrected, again = changed(data, number + 0.25), changed(shuffled, number + 0.5)
        started = time.perf_counter()
        pq.write_table(corrected, target, compression=COMPRESSION)
        seconds.setdefault("bare pq.write_table", []).append(time.perf_counter() - started)
        cases = {
            "first publish": (new, first),
            "overwrite, changed": (corrected, DAY),
            "again, equal": (corrected, DAY),
            "overwrite, rows shuffled": (again, DAY),
        }
        for name, (given, ds) in cases.items():
            seconds.setdefault(name, []).append(publish(table, given, ds))
    return seconds


def publish(table: Table, rows: pa.Table, ds: str) -> float:
    """Seconds of one publish. The fence was drawn long before, when the attempt began."""
    fence = table.draw_fence()
    started = time.perf_counter()
    table.publish(rows, days=[ds], key=SPEC.entity_keys, fence=fence, context=CONTEXT)
    return time.perf_counter() - started


def main(given: list[str] | None = None) -> int:
    """Prints a table for each number of rows; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publish", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=list(TARGETS))
    parser.add_argument("--rounds", type=int, help="by default 21 for 10k rows, 7 for 1M")
    parser.add_argument("--history", type=int, default=60, help="days that the table holds already")
    told = parser.parse_args(given)
    warnings.simplefilter("ignore")
    missed = False
    with postgres() as url:
        for rows in told.rows:
            rounds = told.rounds or ROUNDS.get(rows, 11)
            with tempfile.TemporaryDirectory(prefix="imago-bench-") as folder:
                seconds = measure(new_environment(url, Path(folder)), rows, rounds, told.history)
            missed |= report(seconds, rows, rounds, told.history)
    return int(missed)


def report(seconds: dict[str, list[float]], rows: int, rounds: int, history: int) -> bool:
    """Prints the medians; whether a case with a target missed it."""
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    bare = medians["bare pq.write_table"]
    target = TARGETS.get(rows)
    print(f"\n{rows:,} rows, 34 columns, {COMPRESSION} on both sides, {rounds} rounds, {history} days in the table")
    missed = False
    for name, median in medians.items():
        judged = target is not None and name in ("first publish", "overwrite, changed")
        missed |= judged and median / bare > (target or 0)
        print(f"  {name:26} {1000 * median:8.1f} ms  {median / bare:5.2f}x{f'  at most {target}x' if judged else ''}")
    return missed


if __name__ == "__main__":
    sys.exit(main())
