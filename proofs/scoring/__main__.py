"""`python -m proofs.scoring --size small|full`: runs all parts, names what falls short, ends with one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

from proofs import command
from proofs.report import Report
from proofs.scoring import naive

PARTS = ("airflow", "kills", "reruns", "champions", "explain", "damage")
SIZES: dict[str, dict[str, Any]] = {
    "small": {"attempts": 1, "kills": 5, "days": 3, "again": 3, "predictions": 12, "damages": 200},
    "full": {"attempts": 3, "kills": None, "days": 7, "again": 10, "predictions": 50, "damages": 1_500},
}


def main(given: list[str] | None = None) -> int:
    """Runs the proof; 0 when every promise holds."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--naive", choices=tuple(naive.WAYS))
    told, rest = parser.parse_known_args(given)
    if told.naive:
        os.environ[naive.VARIABLE] = told.naive
    return command.run("scoring-proof", rest, about=__doc__, sizes=tuple(SIZES), parts=PARTS, reports=_reports)


def _reports(url: str, home: Path, size: str, parts: set[str]) -> Iterator[Report]:
    """Every part's report. The parts that wait most begin first."""
    from proofs.scoring import working

    much = SIZES[size]
    places = [(place, when, much["kills"]) for place in ("S3", "folder") for when in ("before", "after")]
    tasks: dict[str, list[tuple[Any, ...]]] = {
        "airflow": [(much["attempts"],)],
        "kills": places,
        "reruns": [(much["days"], much["again"])],
        "damage": [(much["damages"],)],
        "champions": [()],
        "explain": [(much["predictions"],)],
    }
    with command.pool() as pool:
        pool.submit(working.build, url, str(home), size).result()
        running = {pool.submit(getattr(working, name), url, str(home), *given): name
                   for name, calls in tasks.items() if name in parts for given in calls}  # fmt: skip
        for future in as_completed(running):
            yield _report_of(future, running[future])


def _report_of(future: Future[Report], name: str) -> Report:
    """The report of a part; one that broke off fell short."""
    try:
        return future.result()
    except Exception as error:
        broken = Report(name)
        broken.check("the part comes to its end", False, f"{error!r:.500}")
        return broken


if __name__ == "__main__":
    sys.exit(main())
