"""`python -m proofs.gates --size small|full`: runs all parts, names what falls short, ends with one line."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

WORKERS = 2
PARTS = ("bad", "good", "sabotage", "year", "kills")
# In the small size: every n-th case of a part, and these days of the year by themselves.
_EVERY = {"bad": 4, "good": 4, "sabotage": 1}
_SAMPLE = tuple(
    f"2013-{month:02d}-{day:02d}"
    for month, day in zip(range(1, 13), (1, 8, 9, 20, 5, 16, 27, 7, 18, 29, 9, 31), strict=True)
)


def main(given: list[str] | None = None) -> int:
    """Runs the proof; 0 when every promise holds."""
    parser = argparse.ArgumentParser(prog="python -m proofs.gates", description=__doc__)
    parser.add_argument("--size", choices=("small", "full"), default="full")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--only", default="", help="only the cases whose name holds this text")
    parser.add_argument("--write-docs", action="store_true", help="rewrite the table of results in docs/gates.md")
    told = parser.parse_args(given)
    os.environ |= {"DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}

    from proofs.gates import report
    from proofs.postgres import postgres

    started = time.monotonic()
    parts = tuple(told.parts.split(","))
    outcomes = []
    with postgres() as url, tempfile.TemporaryDirectory(prefix="imago-proof-") as home:
        tasks = list(_tasks(parts, told.size, told.only))
        outcomes += _in_workers(url, home, tasks, year="year" in parts)
        kills = _kills(url, Path(home), told.size) if "kills" in parts else None
    facts = report.facts(outcomes, kills, size=told.size, seconds=time.monotonic() - started)
    print(report.long(facts))
    if told.write_docs:
        report.write_docs(facts)
    print(report.summary_line(facts))
    return 0 if report.holds(facts) else 1


def _tasks(parts: tuple[str, ...], size: str, only: str) -> Iterable[tuple[Any, ...]]:
    """What the workers are asked to try, by names that they know."""
    from proofs.gates import corpus, variations
    from proofs.gates.sabotage import all_sabotages
    from proofs.gates.working import all_days

    named: dict[str, Sequence[Any]] = {"bad": corpus.cases(), "good": variations.cases(), "sabotage": all_sabotages()}
    for part, cases in named.items():
        if part in parts:
            chosen = [case for case in cases if only in case.name]
            for case in chosen[:: _EVERY[part] if size == "small" and not only else 1]:
                yield (part, case.name)
    if "year" in parts:
        for ds in all_days() if size == "full" else _SAMPLE:
            yield from (("year", table, ds) for table in ("features", "outcomes"))


def _in_workers(url: str, home: str, tasks: list[tuple[Any, ...]], *, year: bool) -> list[Any]:
    from proofs.gates import working

    found = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context, initializer=working.start, initargs=(url, home)) as pool:
        ranges = pool.submit(working.build)
        if year:
            found += ranges.result()
        running = [pool.submit(working.task, *task) for task in tasks]
        for done, future in enumerate(as_completed(running), start=1):
            outcome = future.result()
            found.append(outcome)
            if not outcome.passed:
                print(f"  {outcome.part}: {outcome.name}\n      {outcome.why}", flush=True)
            if done % 50 == 0 or done == len(running):
                print(f"{done} of {len(running)} cases", flush=True)
    return found


def _kills(url: str, folder: Path, size: str) -> Any:
    from proofs import kills

    return kills.run(100 if size == "full" else 15)


if __name__ == "__main__":
    sys.exit(main())
