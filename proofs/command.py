"""What the commands of the proofs share: arguments, a Postgres and a folder, reports as they come, one line last."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from proofs.report import Report, summary_line, write_docs

WORKERS = 2
Reports = Callable[[str, Path, str, set[str]], Iterator[Report]]


def run(
    name: str,
    given: list[str] | None,
    *,
    about: str | None,
    sizes: Sequence[str],
    parts: Sequence[str],
    reports: Reports,
) -> int:
    """Runs a proof; 0 when every promise holds. `reports` gives each part's report, from the address of a Postgres, a
    folder for everything, the size and the names of the parts."""
    docs = Path(__file__).resolve().parents[1] / f"docs/{name}.md"
    parser = argparse.ArgumentParser(prog=f"python -m proofs.{name.removesuffix('-proof')}", description=about)
    parser.add_argument("--size", choices=sizes, default="full")
    parser.add_argument("--parts", default=",".join(parts), help=f"of {', '.join(parts)}")
    parser.add_argument("--write-docs", action="store_true", help=f"rewrite the table of results in docs/{docs.name}")
    told = parser.parse_args(given)
    os.environ |= {"DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
    wanted = set(told.parts.split(","))
    if wanted - set(parts):
        parser.error(f"unknown parts {', '.join(sorted(wanted - set(parts)))}; known are {', '.join(parts)}")

    from proofs.postgres import postgres

    started = time.monotonic()
    found = []
    with postgres() as url, tempfile.TemporaryDirectory(prefix=f"imago-{name}-") as home:
        for report in reports(url, Path(home), told.size, wanted):
            print("\n".join(report.lines()), flush=True)
            found.append(report)
    if told.write_docs:
        write_docs(docs, found)
    print(summary_line(f"proof-{name.removesuffix('-proof')}", found, told.size, time.monotonic() - started))
    return 0 if found and not any(one.failures for one in found) else 1


def pool() -> ProcessPoolExecutor:
    """A process for each task: what one leaves in memory is not the next one's."""
    return ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1)
