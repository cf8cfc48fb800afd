"""A plan as a person reads it: the same sentences and tables for Markdown and for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imago.backfill.facts import DONE
from imago.backfill.plan import Estimate, Plan, grouped
from imago.days import spans

_TITLES = {
    "create": "created",
    "rewrite": "rewritten",
    "maybe": "perhaps",
    "same": "as is",
    "skip": "skipped",
    "fail": "fail",
}
_SPANS = 4  # ranges of days named in one cell
_REASONS = 12  # rows of a table of reasons


@dataclass(frozen=True)
class Grid:
    """A small table: `right` are the columns of numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()


def headline(plan: Plan) -> str:
    """What would be done, in one sentence."""
    wish = plan.wish
    if not plan.days:
        return f"Nothing to do for {plan.model} in {plan.environment}, {wish.first} to {wish.last}."
    champion = {"as-was": "the champion of each day", "today": "the champion of today"}.get(
        wish.champion, f"version {wish.champion}"
    )
    scores = any(stage.stage == "batch_scoring" for stage in plan.stages)
    by = f", scored by {champion}" if scores else ""
    return (
        f"{number(len(plan.days), 'day')} of {plan.model} in {plan.environment} from {wish.stage} on, "
        f"{plan.days[0]} to {plan.days[-1]}{by}."
    )


def grids(plan: Plan) -> list[Grid]:
    """What is written, by which model version, and what would fail; tables without rows are left out."""
    return [grid for grid in (_radius(plan), _failing(plan), _versions(plan), _reasons(plan)) if grid.rows]


def notes(plan: Plan) -> list[str]:
    """What else somebody should know before they say yes, one sentence each."""
    if not plan.days:
        told = {
            "none": "All of these days have run, or lie outside of the model's world.",
            "failed": "None of these days failed, and none is missing.",
            "completed": "These days lie outside of the model's world.",
        }[plan.wish.reprocess]
        again = "" if plan.wish.reprocess == "completed" else " Choose the reprocess `completed` to run them again."
        return [told + again, *_omitted(plan)]
    said = _omitted(plan)
    if plan.leaking:
        said.append(
            f"Leaking: {_days(plan.leaking)} would be scored by a model whose training saw these days, or later ones. "
            "Such scores look better than they are; each partition says so."
        )
    if plan.judged_again:
        said.append(
            f"Beyond the range: the drift of {_days(plan.judged_again)} is judged again, since its window holds days "
            "that are rewritten."
        )
    said.append(_time(plan.estimate))
    said.append(
        "A day whose rows come out equal makes no new version. No champion moves, nobody is paged, and the online "
        "store is not touched; one digest at the end says what was done."
    )
    return said


def _omitted(plan: Plan) -> list[str]:
    """The days that were asked for and have no run, with the reason; days alike in one sentence."""
    days_of: dict[str, list[str]] = {}
    for ds, why in plan.omitted.items():
        days_of.setdefault(why, []).append(ds)
    return [f"Left out: {_days(days)}: {why}." for why, days in days_of.items()]


def markdown(plan: Plan) -> str:
    """The plan as Markdown, for a form or a log."""
    parts = [f"**{headline(plan)}**"]
    for grid in grids(plan):
        line = "|".join("---:" if place in grid.right else "---" for place in range(len(grid.columns)))
        rows = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in (tuple(map(str, grid.columns)), *grid.rows)]
        parts.append("\n".join([f"**{grid.title}**", "", rows[0], f"|{line}|", *rows[1:]]))
    parts += notes(plan)
    return "\n\n".join(parts)


def text(plan: Plan) -> str:
    """The plan as plain text with straight columns, for a log."""
    parts = [headline(plan)]
    for grid in grids(plan):
        table = [grid.columns, *grid.rows]
        widths = [max(len(row[place]) for row in table) for place in range(len(grid.columns))]
        lines = [
            "  ".join(
                cell.rjust(widths[place]) if place in grid.right else cell.ljust(widths[place])
                for place, cell in enumerate(row)
            ).rstrip()
            for row in table
        ]
        parts.append("\n".join([f"{grid.title}:", *(f"  {line}" for line in lines)]))
    return "\n\n".join([*parts, *notes(plan)])


def number(count: int, noun: str) -> str:
    """A count with its noun.

    >>> number(1, "day"), number(1200, "day")
    ('1 day', '1,200 days')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """About how long.

    >>> duration(40), duration(250), duration(9000)
    ('under a minute', 'about 4 minutes', 'about 2.5 hours')
    """
    if seconds < 60:
        return "under a minute"
    return "about " + (number(round(seconds / 60), "minute") if seconds < 5400 else f"{seconds / 3600:.1f} hours")


def _radius(plan: Plan) -> Grid:
    shown = [what for what in _TITLES if any(stage.counts[what] for stage in plan.stages)]
    rows = tuple(
        (
            stage.stage,
            stage.table or "no table",
            str(stage.runs),
            *(str(stage.counts[what]) if stage.counts[what] else "" for what in shown),
            f"{stage.rows:,}" if stage.rows else "",
        )
        for stage in plan.stages
        if stage.runs
    )
    columns = ("DAG", "writes", "runs", *(_TITLES[what] for what in shown), "rows")
    return Grid("Partitions", columns, rows, frozenset(range(2, len(columns))))


def _versions(plan: Plan) -> Grid:
    scored = [day for stage in plan.stages if stage.stage == "batch_scoring" for day in stage.days if day.what in DONE]
    alike: dict[tuple[str, str, bool], list[str]] = {}
    for day in scored:
        alike.setdefault((day.was or "", day.version or "", day.leaking), []).append(day.ds)
    rows = tuple(
        (
            _days(days),
            f"version {was}" if was else "nobody yet",
            f"version {version}",
            "yes" if leaking else "no",
        )
        for (was, version, leaking), days in alike.items()
    )
    return Grid("Model versions", ("days", "scored by", "would be scored by", "training saw them"), rows)


def _reasons(plan: Plan) -> Grid:
    found = [
        (stage.stage, _TITLES[group.what], _days(group.days), group.why)
        for stage in plan.stages
        for group in grouped(stage.days)
        if group.what != "fail"
    ]
    rows = found[:_REASONS]
    if len(found) > _REASONS:
        rows.append(("...", "", "", f"and {len(found) - _REASONS} more kinds of days"))
    return Grid("Why", ("DAG", "days are", "days", "because"), tuple(rows))


def _failing(plan: Plan) -> Grid:
    rows = tuple(
        (_days(group.days), stage.stage, group.why)
        for stage in plan.stages
        for group in grouped(stage.days)
        if group.what == "fail"
    )
    return Grid("Would fail", ("days", "at", "because"), rows)


def _time(estimate: Estimate | None) -> str:
    if estimate is None:
        return "Time: not known, since none of these stages has run here before."
    unknown = f" {', '.join(estimate.unknown)} never ran here, and is not counted." if estimate.unknown else ""
    return (
        f"Time: {duration(estimate.seconds)}, if {number(estimate.runs, 'run')}, {estimate.parallel} at a time, "
        f"take as long as the last {estimate.looked_at} took (their median).{unknown}"
    )


def _days(days: Sequence[str]) -> str:
    """Days as ranges, with how many they are."""
    found = spans(days)
    told = ", ".join(first if first == last else f"{first} to {last}" for first, last in found[:_SPANS])
    more = f", and {number(len(found) - _SPANS, 'more range')}" if len(found) > _SPANS else ""
    return told if len(days) == 1 else f"{told}{more} ({number(len(days), 'day')})"


def _cell(text: str) -> str:
    """Text that cannot break a table, nor become a link or a heading."""
    return "".join("\\" + sign if sign in "|<>[]*_`\\" else " " if sign in "\r\n" else sign for sign in text)
