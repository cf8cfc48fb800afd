"""What a proof found: every case, those that fell short, and the figures."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Report:
    """One part of the proof. `check` counts a case and keeps those that fell short; `say` keeps a figure."""

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
