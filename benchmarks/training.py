"""A training through Airflow, beside a bare script that makes the same fits with two workers.

    python -m benchmarks.training

Starts an embedded stack of its own, loads nine months of flights, and trains on two days in turns: through Airflow
(from the trigger until the run has ended) and with `benchmarks.bare_training` (from its start to its end). Both must
give each contestant the same metric on the holdout. The target: Airflow costs at most the bare script's time and 4 s a
task. Exit code 1 when it is missed.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from benchmarks.timing import Contender, machine, table, take_turns
from imago.airflow_api import AirflowApi
from imago.demo import Story, World
from imago.environments import load_environment
from imago.jobs.training import load_manifest
from imago.registry.tracking import Tracker
from imago.specs import get_model
from imago.stack import environment_variables
from imago.storage import Storage

ROOT = Path(__file__).parents[1]
FIRST_DAY, TRAININGS = "2013-01-01", ("2013-09-24", "2013-10-01")
A_TASK = 4.0  # seconds


def main() -> None:
    """Starts the stack, measures in turns, prints, ends the stack."""
    print(f"Training of flight_delays: {machine()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="imago-bench-") as folder, _stack(Path(folder) / "home") as variables:
        environment, spec = load_environment("dev", variables), get_model("flight_delays")
        with AirflowApi.from_variables(variables=variables) as airflow:
            story = Story(environment, spec, World(FIRST_DAY, TRAININGS[-1], 3), airflow, Console())
            story.wait_for_dags()
            story.land()
            story.load_history()
            sys.exit(_measure(story, Path(folder)))


def _measure(story: Story, folder: Path) -> int:
    told: list[dict[str, float]] = []
    tasks: list[int] = []
    ours = Contender("training through Airflow", lambda n: _through_airflow(story, TRAININGS[n], tasks), len(TRAININGS))
    bare = Contender(
        "the same fits, a script with two workers", lambda n: _bare(story, n, folder, told), len(TRAININGS)
    )
    take_turns([ours, bare])
    table("One training (each round another day)", [bare, ours], against=bare)
    equal = all(_equal(story, ds, metrics) for ds, metrics in zip(TRAININGS, told, strict=True))
    print(f"\nEach contestant's holdout metric is the same in both: {'yes' if equal else 'NO'}.")
    met = equal
    for ds, mine, theirs, count in zip(TRAININGS, ours.seconds, bare.seconds, tasks, strict=True):
        allowed = theirs + A_TASK * count
        met = met and mine <= allowed
        print(
            f"{ds}: {mine:.1f} s through Airflow, {theirs:.1f} s bare, {count} tasks: "
            f"{(mine - theirs) / count:.2f} s a task (allowed {allowed:.1f} s)."
        )
    print(f"Target: at most the bare script and {A_TASK:g} s a task: {'met' if met else 'NOT MET'}. {machine()}")
    return 0 if met else 1


def _through_airflow(story: Story, ds: str, tasks: list[int]) -> float:
    airflow = story.airflow
    started = time.perf_counter()
    run = airflow.wait(airflow.trigger(story.dag("training"), partition_key=ds), timeout=900, poll=0.2)
    seconds = time.perf_counter() - started
    if run.state != "success":
        raise SystemExit(f"the training of {ds} ended as {run.state}: {airflow.run_url(run)}")
    instances = airflow.task_instances(run)
    tasks.append(len(instances))
    for one in sorted(instances, key=lambda one: one["start_date"]):
        print(f"  {one['rendered_map_index'] or one['task_id']:24} {one['duration']:6.1f} s", flush=True)
    # What the training starts must not run beside the script.
    airflow.wait_idle([story.dag("deployment"), story.dag("endpoint_deploy")], timeout=300, settle=8)
    return seconds


def _bare(story: Story, n: int, folder: Path, told: list[dict[str, float]]) -> float:
    manifest = load_manifest(story.environment, story.spec, TRAININGS[n])
    storage, rows, cut = Storage(story.environment), folder / "rows.parquet", folder / "cut.json"
    rows.write_bytes(storage.read_bytes(f"{manifest['snapshot']}/rows.parquet"))
    cut.write_text(json.dumps(json.loads(storage.read_bytes(f"{manifest['snapshot']}/manifest.json"))["cut"]))
    command = [sys.executable, "-m", "benchmarks.bare_training", story.spec.name, str(rows), str(cut)]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    told.append(json.loads(done.stdout))
    return seconds


def _equal(story: Story, ds: str, bare: dict[str, float]) -> bool:
    environment, spec = story.environment, story.spec
    client, name = Tracker(environment, spec.name).client, f"holdout_{spec.primary_metric}"
    ours = {
        one["contestant"]: client.get_run(one["run_id"]).data.metrics[name]
        for one in load_manifest(environment, spec, ds)["contestants"]
    }
    return ours.keys() == bare.keys() and all(math.isclose(ours[one], bare[one], abs_tol=1e-9) for one in ours)


@contextmanager
def _stack(home: Path) -> Iterator[dict[str, str]]:
    """An embedded stack below `home`, ended in any case."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IMAGO_", "AIRFLOW"))}
    imago = [str(Path(sys.executable).parent / "imago")]
    surroundings = {**kept, "IMAGO_HOME": str(home)}
    try:
        subprocess.run([*imago, "up"], cwd=ROOT, env=surroundings, check=True)
        yield environment_variables(home)
    finally:
        subprocess.run([*imago, "down"], cwd=ROOT, env=surroundings, check=True)


if __name__ == "__main__":
    main()
