"""`python -m proofs.monitoring --size small|full`: runs all parts, names what falls short, ends with one line.

A part is a module with `run(url, home, size)`, which gives its report: `url` is a Postgres server of this run's own,
`home` an empty folder, `size` a key of `SIZES`. Parts run one after the other, since some of them measure time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from proofs import command
from proofs.monitoring import delayed, quiet, sharp, silence, storm
from proofs.report import Report

SIZES = ("small", "full")
PARTS: dict[str, Callable[[str, Path, str], Report]] = {
    "quiet": quiet.run,
    "sharp": sharp.run,
    "delayed": delayed.run,
    "storm": storm.run,
    "silence": silence.run,
}


def main(given: list[str] | None = None) -> int:
    """Runs the proof; 0 when every promise holds."""
    return command.run("monitoring-proof", given, about=__doc__, sizes=SIZES, parts=tuple(PARTS), reports=_reports)


def _reports(url: str, home: Path, size: str, wanted: set[str]) -> Iterator[Report]:
    for name, part in PARTS.items():
        if name in wanted:
            place = home / name
            place.mkdir()
            yield part(url, place, size)


if __name__ == "__main__":
    sys.exit(main())
