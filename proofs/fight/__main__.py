"""`python -m proofs.fight --size small|full`: runs all parts, names what falls short, ends with one line."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from proofs.fight.report import Report, summary_line, write_docs

WORKERS = 2
PARTS = ("properties", "hostile", "racing", "whole", "chance", "mutants")
SEEDS = (2013, 2014)  # of the shuffled labels
SIZES: dict[str, dict[str, Any]] = {
    "small": {"tables": 200, "groups": 2, "fights": 20, "seeds": SEEDS[:1], "every": 40},
    "full": {"tables": 10_000, "groups": 50, "fights": 100, "seeds": SEEDS, "every": 1},
}


def main(given: list[str] | None = None) -> int:
    """Runs the proof; 0 when every promise holds."""
    parser = argparse.ArgumentParser(prog="python -m proofs.fight", description=__doc__)
    parser.add_argument("--size", choices=tuple(SIZES), default="full")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--write-docs", action="store_true", help="rewrite the table of results in docs/fight.md")
    told = parser.parse_args(given)
    os.environ |= {"DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
    parts = set(told.parts.split(","))
    if parts - set(PARTS):
        parser.error(f"unknown parts {', '.join(sorted(parts - set(PARTS)))}; known are {', '.join(PARTS)}")

    from proofs.postgres import postgres

    started = time.monotonic()
    with postgres() as url, tempfile.TemporaryDirectory(prefix="imago-fight-") as home:
        reports = list(_reports(url, Path(home), told.size, parts))
    if told.write_docs:
        write_docs(reports)
    print(summary_line(reports, told.size, time.monotonic() - started))
    return 0 if reports and not any(one.failures for one in reports) else 1


def _reports(url: str, home: Path, size: str, parts: set[str]) -> Iterator[Report]:
    """Every part's report, printed as it comes. The year of flights is built beside the parts that do not need it."""
    from proofs.fight import chance, mutants, working

    much = SIZES[size]
    alone: dict[str, list[tuple[Any, ...]]] = {
        "properties": [(much["tables"] // 2, 2013), (much["tables"] - much["tables"] // 2, 2014)],
        "hostile": [()],
        "racing": [(size,)],
    }
    on_flights: dict[str, list[tuple[Any, ...]]] = {
        "shuffled_labels": [(seed,) for seed in much["seeds"]],
        "worse_on_a_slice": [()],
        "inflated_metrics": [()],
        "retrains": [(group,) for group in range(much["groups"])],
        "truth": [(much["fights"],)],
    }
    fights: list[chance.Fights] = []
    # A process for each task: what one leaves in memory is not the next one's.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context, max_tasks_per_child=1) as pool:

        def started(tasks: dict[str, list[tuple[Any, ...]]], *where: str) -> list[Future[Any]]:
            return [pool.submit(getattr(working, name), *where, *given)
                    for name, calls in tasks.items() if working.PART_OF[name] in parts for given in calls]  # fmt: skip

        year = pool.submit(working.build, url, str(home)) if parts & {"whole", "chance"} else None
        running = started(alone, url, str(home))
        if year is not None:
            running += started(on_flights, url, str(home), year.result())
        for future in as_completed(running):
            found = future.result()
            if isinstance(found, Report):
                yield _printed(found)
            else:
                fights += found
    if "chance" in parts:
        yield _printed(chance.judged(fights))
    if "mutants" in parts:
        yield _printed(mutants.run(much["every"]))


def _printed(report: Report) -> Report:
    print("\n".join(report.lines()), flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
