"""Hostile artifacts through the production loader: each has to be refused, and none may leave a marker.

A bait proves nothing unless it bites, so each is first given to the naive loader that it is made for, and has to leave
its marker there.
"""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from imago.environments import Environment
from imago.errors import ModelRefused
from imago.registry import Artifact, load_model
from proofs.fight.bait import MODEL, Bait, Payload, fresh, honest, rows
from proofs.fight.corpus import BAITS, HARM
from proofs.fight.corpus.cases import Case
from proofs.report import Report

WAIT = 30  # seconds until a case that still runs has done harm enough


def run(env: Environment, folder: Path) -> Report:
    """Each case in a process of its own, so that one that runs away can be ended. `folder` is empty, and outside of the
    environment's storage."""
    report = Report("hostile artifacts")
    importlib.import_module("mlflow.pyfunc")  # once; each naive load forks from here
    warnings.simplefilter("ignore")
    # Threads of the parent would be missing in its forked children, which would then wait for them forever.
    with threadpool_limits(limits=1):
        _try_all(env, folder, report)
    return report


def spoiled(case: Case, env: Environment, kept: Path, artifact: Artifact, marker: Path) -> Bait:
    """The honest model, made hostile."""
    bait = fresh(env, kept, artifact, marker)
    case.spoil(bait)
    if bait.sealed:
        bait.seal()
    return bait


def produced(bait: Bait) -> object:
    """What production does with it."""
    return load_model(bait.env, bait.facts, format=bait.format).predict(rows())


def _try_all(env: Environment, folder: Path, report: Report) -> None:
    artifact = honest(env)
    kept = folder / "kept"
    shutil.copytree(Path(env.storage_root) / MODEL, kept)
    expected = load_model(env, artifact, format="skops").predict(rows())
    report.check("the honest model loads", np.allclose(load_model(env, artifact).predict(rows()), expected, atol=1e-5))
    bait_works = folder / "bait-works"
    pickle.loads(pickle.dumps(Payload(bait_works)))
    report.check("the payload leaves a marker where it runs", bait_works.exists())
    bitten = refused = 0
    for number, case in enumerate((*BAITS, *HARM)):
        marker, said = folder / f"marker-{number}", folder / f"said-{number}"
        if case.naive is not None:
            told = _in_child(case.naive, spoiled(case, env, kept, artifact, marker), said)
            bitten += report.check(f"it bites a naive loader: {case.name}", marker.exists(), told)
            shutil.rmtree(marker) if marker.is_dir() else marker.unlink(missing_ok=True)
        told = _in_child(produced, spoiled(case, env, kept, artifact, marker), said)
        refused += report.check(case.name, told == "refused" and not marker.exists(), told)
    left = fresh(env, kept, artifact, folder / "none")
    report.check("the honest model loads again", bool(load_model(env, left.facts).predict(rows()).size))
    report.say(
        f"{len(BAITS)} artifacts that leave a marker in a naive loader ({bitten} did), {len(HARM)} that do other harm: "
        f"{refused} of {len(BAITS) + len(HARM)} refused before anything ran, without a marker"
    )


def _in_child(work: Callable[[Bait], object], bait: Bait, said: Path) -> str:
    """What became of the work in a child process."""
    said.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            work(bait)
            said.write_text("it was loaded and has scored")
        except ModelRefused:
            said.write_text("refused")
        except BaseException as error:
            said.write_text(f"not refused but fell over: {type(error).__name__}: {error}"[:200])
        finally:
            os._exit(0)
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return said.read_text() if said.exists() else "the process died"
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return f"it still ran after {WAIT} s"
