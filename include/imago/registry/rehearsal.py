"""A rehearsal: the model is loaded as production loads it, by a process that has nothing else in its memory, and
answers its golden batch. What the training process still held, a cached import or a patched class, does not count here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from imago.environments import Environment
from imago.errors import ModelRefused
from imago.memory import peak_mb
from imago.registry import folders, golden
from imago.registry.loading import BATCH_ROWS, load_model

LONGEST = 300  # seconds


@dataclass(frozen=True)
class Rehearsal:
    """`answers` are the scores of the golden rows, `golden` those of the fit. `milliseconds` is the processor time of
    1,000 rows, in production's batches; `memory_mb` the peak memory of the whole process."""

    answers: np.ndarray
    golden: np.ndarray
    milliseconds: float
    memory_mb: float


def rehearse(environment: Environment, artifact: Mapping[str, Any]) -> Rehearsal:
    """Runs the rehearsal of a model, given by the four fields of an `Artifact`.

    Raises ModelRefused when the model has no golden batch, or when the process was ended, took longer than `LONGEST`,
    or refused the model.
    """
    if golden.FILE not in artifact["artifacts"]:
        raise _refused(environment, "the model has no golden batch", f"a file {golden.FILE}")
    work = {"environment": _plain(environment), "artifact": dict(artifact)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "imago.registry.rehearsal"],
            input=json.dumps(work),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
    except subprocess.TimeoutExpired as error:
        raise _refused(environment, "a fresh process gave no answer", f"an answer within {LONGEST} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise _refused(environment, f"a fresh process could not answer: {last}", "the golden batch is answered")
    try:
        told = json.loads(done.stdout.splitlines()[-1])
        answers, expected = np.array(told["answers"], dtype=float), np.array(told["golden"], dtype=float)
        return Rehearsal(answers, expected, float(told["milliseconds"]), float(told["memory_mb"]))
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise _refused(environment, "a fresh process gave no answer that can be read", "scores and costs") from error


def _answer(environment: Environment, artifact: dict[str, Any]) -> dict[str, Any]:
    scorer = load_model(environment, artifact)
    digest = artifact["artifacts"][golden.FILE]
    rows, expected = golden.read(folders.read(environment, artifact["artifact_uri"], golden.FILE, digest))
    answers = scorer.predict(rows)
    batch = rows.take(np.resize(np.arange(rows.num_rows), BATCH_ROWS))
    started = time.process_time()
    scorer.predict(batch)
    seconds = time.process_time() - started
    return {
        "answers": answers.tolist(),
        "golden": expected.tolist(),
        "milliseconds": seconds * 1000 / BATCH_ROWS * 1000,
        "memory_mb": peak_mb(),
    }


def _plain(environment: Environment) -> dict[str, Any]:
    """The environment with its secrets: it goes through a pipe, never onto a command line or into a file."""
    said = environment.model_dump()
    return {name: value.get_secret_value() if hasattr(value, "get_secret_value") else value
            for name, value in said.items()}  # fmt: skip


def _refused(environment: Environment, what: str, allowed: str) -> ModelRefused:
    return ModelRefused(
        what,
        environment=environment.name,
        rule="fresh process",
        allowed=allowed,
        next_step="train again; where it happens again, look for what the model needs beyond its own files",
    )


if __name__ == "__main__":
    given = json.load(sys.stdin)
    sys.stdout.write(json.dumps(_answer(Environment(**given["environment"]), given["artifact"])))
