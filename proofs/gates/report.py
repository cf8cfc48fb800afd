"""What all parts showed, as counts, as text, as one line, and as the table in the docs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proofs.gates.cases import Outcome

DOCS = Path(__file__).resolve().parents[2] / "docs" / "gates.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that one run of the proof showed. `kills` is None where that part was left out."""

    outcomes: Sequence[Outcome]
    kills: Any
    size: str
    seconds: float
    warnings: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def of(self, part: str) -> list[Outcome]:
        """The outcomes of one part."""
        return [outcome for outcome in self.outcomes if outcome.part == part]

    def failed(self, part: str) -> list[Outcome]:
        """Those of them that fall short."""
        return [outcome for outcome in self.of(part) if not outcome.passed]


def facts(outcomes: Iterable[Outcome], kills: Any, *, size: str, seconds: float) -> Facts:
    """The facts of one run, in a stated order."""
    return Facts(
        outcomes=sorted(outcomes, key=lambda one: (one.part, one.name)), kills=kills, size=size, seconds=seconds
    )


def holds(found: Facts) -> bool:
    """Whether every promise holds: no bad input and no sabotage passes, at most one good variation is refused, no day
    of the year is, and no kill tears."""
    strict = ("bad", "sabotage", "year")
    return (
        not any(found.failed(part) for part in strict) and len(found.failed("good")) <= 1 and _kills_hold(found.kills)
    )


def _kills_hold(kills: Any) -> bool:
    return kills is None or (kills.torn == 0 and kills.converged == kills.kills)


def summary_line(found: Facts) -> str:
    """The last line: what was tried, and what held."""
    bad, good, sabotages, year = (found.of(part) for part in ("bad", "good", "sabotage", "year"))
    parts = [
        f"{_passed(bad)} of {len(bad)} bad refused with the right column and rule" if bad else "",
        f"{len(good) - _passed(good)} of {len(good)} good refused" if good else "",
        f"{_passed(sabotages)} of {len(sabotages)} sabotages stopped" if sabotages else "",
        _kills_line(found.kills),
        _year_line(year),
    ]
    return "proof-gates: " + ", ".join(part for part in parts if part)


def _kills_line(kills: Any) -> str:
    if kills is None:
        return ""
    return f"{kills.kills} kills: {kills.torn} torn, {round(100 * kills.converged / kills.kills)}% converged"


def _year_line(year: Sequence[Outcome]) -> str:
    days: dict[str, bool] = defaultdict(lambda: True)
    for outcome in year:
        if outcome.family == "day":
            ds = outcome.name.rsplit(" ", 1)[-1]
            days[ds] = days[ds] and outcome.passed
    if not days:
        return ""
    ranges = all(outcome.passed for outcome in year if outcome.family == "range")
    whole = "" if len(days) == 365 else f" ({'the year in one run passes' if ranges else 'the year in one run FAILS'})"
    return f"{sum(days.values())} of {len(days)} days without a false stop{whole}"


def _passed(outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.passed for outcome in outcomes)


def long(found: Facts) -> str:
    """The text before the last line: every case that falls short, and what each part took."""
    lines = []
    for part in ("bad", "good", "sabotage", "year"):
        outcomes = found.of(part)
        if not outcomes:
            continue
        seconds = sum(outcome.seconds for outcome in outcomes)
        lines.append(f"{part}: {_passed(outcomes)} of {len(outcomes)} as promised ({seconds:.0f} s of work)")
        lines += [f"  {outcome.name}\n      {outcome.why}" for outcome in found.failed(part)]
    return "\n".join([*lines, f"{found.seconds:.0f} s in all"])


def table(found: Facts) -> str:
    """The Markdown table of the docs: a row for each family of bad inputs, and one for each other part."""
    rows: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found.of("bad"):
        rows[outcome.family.partition(":")[0]].append(outcome)
    lines = ["| bad input | cases | refused as promised | by the rule |", "|---|---|---|---|"]
    for family in sorted(rows):
        outcomes = rows[family]
        rules = Counter(outcome.rule or "-" for outcome in outcomes)
        told = ", ".join(f"{rule} ({count})" for rule, count in rules.most_common())
        lines.append(f"| {family} | {len(outcomes)} | {_passed(outcomes)} | {told} |")
    lines += ["", "| good variation | cases | published |", "|---|---|---|"]
    good: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found.of("good"):
        good[outcome.family].append(outcome)
    lines += [f"| {family} | {len(good[family])} | {_passed(good[family])} |" for family in sorted(good)]
    lines += ["", "| sabotage of the gate | stopped by |", "|---|---|"]
    for outcome in found.of("sabotage"):
        by = (
            ": ".join(part for part in (outcome.column, outcome.rule) if part)
            or outcome.seen.partition("/")[0].rstrip(" '")[:80]
        )
        lines.append(f"| {outcome.name} | {by if outcome.passed else 'NOT STOPPED'} |")
    return "\n".join([*lines, "", f"`{summary_line(found)}`"])


def write_docs(found: Facts) -> None:
    """Rewrites the results in docs/gates.md, between their markers."""
    text = DOCS.read_text()
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    DOCS.write_text(f"{head}{BEGIN}\n\n{table(found)}\n\n{END}{tail}")
