"""`python -m proofs.monitoring --size small|full`: runs all parts, names what falls short, ends with one line.

A part is a module with `run(url, home, size)`, which gives its report: `url` is a Postgres server of this run's own,
`home` an empty folder, `size` a key of `SIZES`. Parts run one after the other, since some of them measure time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

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
DOCS = Path(__file__).resolve().parents[2] / "docs/monitoring-proof.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def main(given: list[str] | None = None) -> int:
    """Runs the proof; 0 when every promise holds."""
    parser = argparse.ArgumentParser(prog="python -m proofs.monitoring", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--write-docs", action="store_true", help=f"rewrite the table of results in docs/{DOCS.name}")
    told = parser.parse_args(given)
    os.environ |= {"DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
    asked = told.parts.split(",")
    if unknown := sorted(set(asked) - set(PARTS)):
        parser.error(f"unknown parts {', '.join(unknown)}; known are {', '.join(PARTS)}")
    started = time.monotonic()
    reports = list(_reports(told.size, [name for name in PARTS if name in asked]))
    if told.write_docs:
        _write_docs(reports, told.size)
    print(_summary_line(reports, told.size, time.monotonic() - started))
    return 0 if reports and not any(one.failures for one in reports) else 1


def _reports(size: str, parts: Sequence[str]) -> Iterator[Report]:
    """Every part's report, printed as it comes."""
    from proofs.postgres import postgres

    with postgres() as url, tempfile.TemporaryDirectory(prefix="imago-monitoring-") as home:
        for name in parts:
            place = Path(home) / name
            place.mkdir()
            report = PARTS[name](url, place, size)
            print("\n".join(report.lines()), flush=True)
            yield report


def _summary_line(reports: Sequence[Report], size: str, seconds: float) -> str:
    """The proof in one line."""
    short = sum(len(one.failures) for one in reports)
    state = "every promise holds" if reports and not short else f"{short} of them FELL SHORT"
    return f"proof-monitoring ({size}): {sum(one.cases for one in reports)} cases in {seconds:.0f} s, {state}"


def _write_docs(reports: Sequence[Report], size: str) -> None:
    """Rewrites the table of results; parts that did not run keep their row."""
    text = DOCS.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    table, tail = rest.split(END)
    rows = {line.split("|")[1].strip(): line for line in table.strip().splitlines()[2:]}
    for one in reports:
        rows[one.name] = f"| {one.name} | {size} | {one.cases:,} | {len(one.failures)} | {'<br>'.join(one.figures)} |"
    lines = [
        "| part | size | cases | fell short | figures |",
        "|---|---|---|---|---|",
        *(rows[n] for n in sorted(rows)),
    ]
    DOCS.write_text(f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
