"""What a proof found: every case, those that fell short, and the figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

BEGIN, END = "<!-- results -->", "<!-- end of results -->"


@dataclass
class Report:
    """One part of a proof. `check` counts a case and keeps those that fell short; `say` keeps a figure."""

    name: str
    cases: int = 0
    failures: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def check(self, case: str, passed: bool, seen: object = "") -> bool:
        self.cases += 1
        if not passed:
            self.failures.append(f"{case}: {seen}" if str(seen) else case)
        return bool(passed)

    def say(self, figure: str) -> None:
        self.figures.append(figure)

    def lines(self) -> list[str]:
        """The report as text, the part's own summary first."""
        state = "ok" if not self.failures else f"{len(self.failures)} FELL SHORT"
        head = f"{self.name}: {self.cases} cases, {state}, {time.monotonic() - self.started:.0f} s"
        return [head, *(f"  {text}" for text in self.figures), *(f"  ✗ {text}" for text in self.failures)]


def summary_line(proof: str, reports: Sequence[Report], size: str, seconds: float) -> str:
    """The proof in one line."""
    short = sum(len(one.failures) for one in reports)
    state = "every promise holds" if reports and not short else f"{short} of them FELL SHORT"
    return f"{proof} ({size}): {sum(one.cases for one in reports)} cases in {seconds:.0f} s, {state}"


def write_docs(docs: Path, reports: Sequence[Report]) -> None:
    """Rewrites the rows of these parts in the table of a page of the docs; parts that did not run keep their row."""
    head, rest = docs.read_text().split(BEGIN)
    old, rest = rest.split(END)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in old.strip().splitlines()[2:]}
    for name in dict.fromkeys(one.name for one in reports):
        same = [one for one in reports if one.name == name]
        cases, short = sum(one.cases for one in same), sum(len(one.failures) for one in same)
        figures = "<br>".join(figure.replace("|", "\\|") for one in same for figure in one.figures)
        rows[name] = f"| {name} | {cases:,} | {short} | {figures} |"
    table = "\n".join(
        ["| part | cases | fell short | figures |", "|---|---|---|---|", *(rows[name] for name in sorted(rows))]
    )
    docs.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest}")
