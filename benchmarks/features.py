"""A day's and a year's build of the features, beside the bare SQL, the dbt command line and Cosmos.

    python -m benchmarks.features [--without-cosmos]

All of them run the same models on the same landed files on local disk. The bare SQL is what dbt compiled, given to a
DuckDB connection one statement after another, the last one copied to Parquet: no tests, no contract, no checks.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.rivals import Cosmos, command_line
from benchmarks.timing import Contender, machine, table, take_turns
from imago.context import RunContext
from imago.days import shift
from imago.dbt import build, contract_of
from imago.dbt.process import collector_paused, scratch_folder
from imago.dbt.project import arguments, manifest
from imago.environments import Environment
from imago.jobs.landing import land
from imago.storage import Storage

MODEL = "flight_delays_features"
WORLD = ("2013-01-01", "2013-12-31")
FIRST_DAY = "2013-10-01"
DAY_TARGET, YEAR_TARGET = 6, 12


@dataclass
class Work:
    """What to build: a range of days with its raw files, and the models as dbt compiled them, in order."""

    first: str
    last: str
    variables: dict[str, Any]
    compiled: list[tuple[str, str]]


def main() -> None:
    """Lands a year, compiles, measures in turns, prints."""
    logging.disable(logging.INFO)
    print(f"Features of {MODEL} on local files: {machine()}")
    with tempfile.TemporaryDirectory(prefix="imago-bench-") as folder:
        env = _environment(Path(folder))
        land(env, *WORLD, RunContext(run_id="benchmark"))
        _day(env, Path(folder))
        _year(env)


def _day(env: Environment, folder: Path) -> None:
    rounds = 9
    days = [_work(env, day, day) for day in (shift(FIRST_DAY, n) for n in range(rounds))]
    bare = Contender("bare SQL in DuckDB", lambda n: _bare(days[n]), rounds)
    ours = Contender("our dbt step (models, contract, all data tests)", lambda n: _ours(env, days[n]), rounds)
    models = Contender("  the same without its data tests", lambda n: _models_only(env, days[n]), rounds)
    fresh = Contender("  the same with its tests, as a process's first", lambda n: _fresh(env, days[n], folder), 3)
    console = Contender("dbt build on the command line", lambda n: command_line(MODEL, days[n].variables, folder), 3)
    contenders = [bare, ours, models, fresh, console]
    if "--without-cosmos" not in sys.argv:
        cosmos = Cosmos(folder)
        if cosmos.missing:
            print(f"Cosmos could not be installed, so it is not measured: {cosmos.missing}")
        else:
            contenders.append(
                Contender("Cosmos LOCAL, in an Airflow", lambda n: cosmos.run(MODEL, days[n].variables), 1)
            )
    for warm in (_bare, partial(_ours, env), partial(_models_only, env)):
        warm(days[-1])
    take_turns(contenders)
    table("One day's refresh (each round another day)", contenders, against=bare)
    _verdict("a day", ours.median / bare.median, DAY_TARGET)


def _year(env: Environment) -> None:
    year, day = _work(env, *WORLD), _work(env, FIRST_DAY, FIRST_DAY)
    bare = Contender("bare SQL of the year", lambda n: _bare(year), 3)
    ours = Contender("our dbt step of the year, one run", lambda n: _ours(env, year), 3)
    one = Contender("bare SQL of one day, for scale", lambda n: _bare(day), 3)
    _bare(day)
    take_turns([bare, ours, one])
    table("365 days in one run", [bare, ours, one], against=bare)
    _verdict("a year against the year's SQL", ours.median / bare.median, YEAR_TARGET)
    print(
        f"Against the SQL of one day the year in one run costs {ours.median / one.median:.0f} times "
        f"(its SQL alone {bare.median / one.median:.0f}), which is {ours.median / one.median / 365:.2f} for each day."
    )


def _verdict(what: str, ratio: float, target: int) -> None:
    met = "met" if ratio <= target else "NOT MET"
    print(f"\nTarget for {what}: at most {target} times. Measured: {ratio:.1f}, {met}.")


def _environment(folder: Path) -> Environment:
    return Environment(
        name="dev",
        storage_root=str(folder / "storage"),
        ledger_url="postgresql://nobody@localhost/none",  # type: ignore[arg-type]
        ledger_schema="benchmark",
        mlflow_uri="sqlite:///none.db",
        registry_prefix="dev.",
        dbt_target="dev",
        alert_channel="#benchmark",
    )


def _work(env: Environment, first: str, last: str) -> Work:
    files: dict[str, list[str]] = {}
    storage = Storage(env)
    for raw in contract_of(MODEL, "dev").raw:
        found = [name for name in storage.list(f"raw/{raw.kind}") if name.endswith(".parquet")]
        if raw.days is not None:
            start, end = shift(first, raw.days[0]), shift(last, raw.days[1])
            found = [name for name in found if start <= name.split("/ds=", 1)[1][:10] <= end]
        files[raw.kind] = [storage.uri(name) for name in found]
    variables = {"first_day": first, "last_day": last, "storage_root": env.storage_root, "raw_files": files}
    from dbt.cli.main import dbtRunner

    with scratch_folder() as scratch:
        outcome = dbtRunner(manifest=manifest("dev")).invoke(
            ["compile", "--select", f"+{MODEL}", "--vars", json.dumps(variables), *arguments("dev", scratch)]
        )
    if not outcome.success:
        raise SystemExit(f"the models do not compile: {outcome.exception}")
    nodes = [result.node for result in outcome.result.results]
    compiled = [(node.name, node.compiled_code) for node in nodes if node.resource_type == "model"]
    return Work(first, last, variables, compiled)


def _bare(work: Work) -> None:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(":memory:", config={"threads": 2}) as connection:
        for name, sql in work.compiled:
            if name == MODEL:
                connection.execute(f"copy ({sql}) to '{folder}/{name}.parquet' (format parquet)")
            else:
                connection.execute(f'create table "memory"."main"."{name}" as ({sql})')


def _ours(env: Environment, work: Work) -> None:
    with tempfile.TemporaryDirectory() as folder:
        build(
            env, select=[MODEL], first=work.first, last=work.last, staging=folder,
            variables={"raw_files": work.variables["raw_files"]},
        )  # fmt: skip


def _models_only(env: Environment, work: Work) -> None:
    """What `build` does, but for the tests."""
    from dbt.cli.main import dbtRunner

    from imago.dbt.runner import _forget_database, _profile_of

    with (
        tempfile.TemporaryDirectory() as folder,
        _profile_of(env, folder),
        collector_paused(),
        scratch_folder() as scratch,
    ):
        outcome = dbtRunner(manifest=manifest("dev")).invoke(
            [
                *("build", "--select", f"+{MODEL}", "--resource-type", "model", "--vars", json.dumps(work.variables)),
                *arguments("dev", scratch),
            ]
        )
        _forget_database(env)
    if not outcome.success:
        raise SystemExit(f"the models do not build: {outcome.exception}")


_FRESH = """
import importlib, json, logging, sys, time, warnings
warnings.simplefilter("ignore")
from imago.stack.settings import PRELOAD
for name in PRELOAD:
    if not name.startswith(("airflow", "mlflow", "skops", "sklearn", "onnx")):
        importlib.import_module(name)
logging.disable(logging.INFO)
from benchmarks.features import MODEL, _environment
from imago.dbt import build
from pathlib import Path
first, last, folder, staging = sys.argv[1:]
variables = json.loads(sys.stdin.read())
started = time.perf_counter()
build(_environment(Path(folder)), select=[MODEL], first=first, last=last, staging=staging, variables=variables)
print("BENCH", time.perf_counter() - started)
"""


def _fresh(env: Environment, work: Work, folder: Path) -> float:
    """The first build of a process that has its libraries loaded, as a forked Airflow task has."""
    with tempfile.TemporaryDirectory() as staging:
        done = subprocess.run(
            [sys.executable, "-c", _FRESH, work.first, work.last, str(folder), staging],
            input=json.dumps({"raw_files": work.variables["raw_files"]}),
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout.rpartition("BENCH")[2])


if __name__ == "__main__":
    main()
