"""`python -m proofs.strangers --size small|full`: runs all areas, names what falls short, ends with one line.

An area is a module with `cases(workplace, count, seed)`, which draws that many cases; the areas run side by side, each
in processes of its own. `--seed` draws others than those that CI draws.
"""

from __future__ import annotations

import argparse
import collections
import sys
from collections.abc import Iterator
from concurrent.futures import Future, as_completed
from pathlib import Path

from proofs import command
from proofs.report import Report
from proofs.strangers.case import Outcome
from proofs.strangers.working import outcomes

# The number of cases of each area in the full size; CI's small one draws every `SMALL`th.
AREAS: dict[str, int] = {
    "pipelines": 1_000,
    "calendars": 800,
    "delays": 1_000,
    "evolution": 500,
    "keys": 1_250,
    "roots": 400,
    "texts": 640,
    "midnights": 400,
}
SMALL = 25
CHUNK = 250  # cases of one process


def main(given: list[str] | None = None) -> int:
    """Runs the proof; 0 when every promise holds."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--seed", type=int, default=2026)
    options, rest = parser.parse_known_args(given)

    def reports(url: str, home: Path, size: str, areas: set[str]) -> Iterator[Report]:
        return _reports(url, home, size, areas, options.seed)

    return command.run(
        "strangers-proof", rest, about=__doc__, sizes=("small", "full"), parts=tuple(AREAS), reports=reports
    )


def _reports(url: str, home: Path, size: str, areas: set[str], seed: int) -> Iterator[Report]:
    with command.pool() as pool:
        left: dict[str, int] = {}
        running: dict[Future[list[Outcome]], str] = {}
        for area, full in AREAS.items():
            if area in areas:
                count = full if size == "full" else -(-full // SMALL)
                for start in range(0, count, CHUNK):
                    folder, some = str(home / f"{area}-{start}"), min(CHUNK, count - start)
                    running[pool.submit(outcomes, area, url, folder, some, seed + start)] = area
                    left[area] = left.get(area, 0) + 1
        collected: dict[str, list[Outcome]] = {}
        reports = {area: Report(area) for area in AREAS if area in areas}
        for future in as_completed(running):
            area = running[future]
            collected.setdefault(area, []).extend(_of(future, area))
            left[area] -= 1
            if not left[area]:
                yield _filled(reports[area], collected[area], f"{size} size, seed {seed}")


def _of(future: Future[list[Outcome]], area: str) -> list[Outcome]:
    """The outcomes of one process; one that broke off is a raw error of its own."""
    try:
        return future.result()
    except Exception as error:
        return [Outcome(f"{area}: the process comes to its end", "raw error", f"{error!r:.500}")]


def _filled(report: Report, results: list[Outcome], drawn: str) -> Report:
    report.say(drawn)
    for outcome in results:
        report.check(f"{outcome.case} [{outcome.verdict}]", outcome.good, outcome.detail)
    counts = collections.Counter(outcome.verdict for outcome in results)
    for verdict in ("equal", "refused", "silent difference", "raw error", "poor refusal"):
        report.say(f"{verdict}: {counts[verdict]}")
    return report


if __name__ == "__main__":
    sys.exit(main())
