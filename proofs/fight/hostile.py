"""Hostile artifacts through the production loader: each has to be refused, and none may leave a marker."""

from __future__ import annotations

import os
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from imago.environments import Environment
from imago.errors import ModelRefused
from imago.registry import load_model
from proofs.fight.bait import MODEL, Payload, fresh, honest, rows
from proofs.fight.corpus import CASES
from proofs.fight.report import Report

WAIT = 30  # seconds until a case that still runs has done harm enough


def run(env: Environment, folder: Path) -> Report:
    """Each case in a process of its own, so that one that runs away can be ended."""
    report = Report("hostile artifacts")
    # Threads of the parent would be missing in its forked children, which would then wait for them forever.
    with threadpool_limits(limits=1):
        return _tried(env, folder, report)


def _tried(env: Environment, folder: Path, report: Report) -> Report:
    artifact = honest(env)
    kept = folder / "kept"
    shutil.copytree(Path(env.storage_root) / MODEL, kept)
    expected = load_model(env, artifact, format="skops").predict(rows())
    report.check("the honest model loads", np.allclose(load_model(env, artifact).predict(rows()), expected, atol=1e-5))
    bait_works = folder / "bait-works"
    pickle.loads(pickle.dumps(Payload(bait_works)))
    report.check("the payload leaves a marker where it runs", bait_works.exists())
    for number, (name, spoil) in enumerate(CASES.items()):
        marker = folder / f"marker-{number}"
        bait = fresh(env, kept, artifact, marker)
        spoil(bait)
        if bait.sealed:
            bait.seal()
        said = _ended(bait, folder / f"said-{number}")
        report.check(name, said == "refused" and not marker.exists(), said)
    left = fresh(env, kept, artifact, folder / "none")
    report.check("the honest model loads again", bool(load_model(env, left.facts).predict(rows()).size))
    report.say(f"{len(CASES)} artifacts, {len(CASES) - len(report.failures)} refused before anything ran")
    return report


def _ended(bait, said: Path) -> str:
    """What the loader did in a child process."""
    child = os.fork()
    if child == 0:
        try:
            load_model(bait.env, bait.facts, format=bait.format).predict(rows())
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
