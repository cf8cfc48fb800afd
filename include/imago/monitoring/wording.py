"""What an alert of drift says: one line that names the worst columns, why it matters, what to do."""

from __future__ import annotations

from typing import Any

from imago.monitoring.drift import Concern, Finding, Verdict
from imago.monitoring.estimates import Estimate

NAMED = 3

_RULES: dict[Concern, tuple[str, str]] = {
    "predictions": ("drift", "predictions"),
    "inputs": ("drift", "inputs"),
    "missing_values": ("missing_values", "inputs"),
    "volume": ("volume", "rows"),
}
_WHY: dict[Concern, str] = {
    "predictions": (
        "The model now says something else than it did on the data that it learned from; its decisions shift with it."
    ),
    "inputs": "The model meets data that it did not learn from; its scores may be wrong before any label can show it.",
    "missing_values": "The model fills gaps with what was usual in training, so its scores say less than they seem to.",
    "volume": "Rows are missing or stand twice: whoever acts on predictions acts on the wrong set.",
}
_NEXT: dict[Concern, str] = {
    "predictions": (
        "Compare with the drift of the inputs on the dashboard; if they moved too, run training for the last "
        "closed day."
    ),
    "inputs": (
        "Look at the named columns on the dashboard: a broken source is mended there, a changed world is trained on."
    ),
    "missing_values": "Check the source of the named columns; after the fix, backfill feature_refresh for the day.",
    "volume": "Compare the day's raw files with the source's own count; land them again if they are short.",
}
ESTIMATE = "estimated_floor"  # the rule of an estimated performance

MEASURES = {
    "psi": "PSI",
    "jensen_shannon": "Jensen-Shannon distance",
    "wasserstein": "Wasserstein distance in training deviations",
    "mean_shift": "shift of the mean in training deviations",
    "rate_shift": "change of the share of a decision",
    "missing_rise": "rise of the missing rate",
    "unseen_rise": "rise of the rate of unseen values",
    "volume": "distance from the usual number of rows",
}
WINDOWS = {
    "day": "against the training",
    "week": "of 7 days against the training",
    "month": "of 28 days against the training",
    "weekdays": "against the same weekdays before",
}


def rule_of(concern: Concern) -> tuple[str, str]:
    """The alert rule and the incident's subject of a concern."""
    return _RULES[concern]


def words_of(verdict: Verdict, *, ds: str) -> dict[str, Any]:
    """The fields of the alert of a verdict that fired."""
    rule, subject = _RULES[verdict.concern]
    worst, columns = verdict.worst[0], verdict.columns
    more = f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    title = f"{ds}: {said(worst)}"
    return {
        "rule": rule,
        "subject": subject,
        "severity": "warning" if verdict.concern == "inputs" else None,
        "title": f"{title}; in all: {', '.join(columns[:NAMED])}{more}" if len(columns) > 1 else title,
        "why": _WHY[verdict.concern],
        "did": "The day was scored and published as usual; the champion stays.",
        "next_step": _NEXT[verdict.concern],
        "ds": ds,
        "facts": {
            "value": worst.value,
            "threshold": worst.threshold,
            "columns": columns,
            "window": worst.window,
        },
    }


def words_of_estimate(short: Estimate, *, ds: str, floor: float) -> dict[str, Any]:
    """The fields of the alert of an estimate that lies beyond the floor."""
    return {
        "rule": ESTIMATE,
        "subject": short.metric,
        "title": f"{short.metric} of the {short.days} days to {ds} is estimated at {short.value:.3f}, "
        f"the floor is {floor:.3f}",
        "why": "The scores themselves say that the champion tells these days apart less well than the spec demands; "
        "no label can show it yet.",
        "did": "Predictions go on as usual; the champion stays. The estimate is held against the truth once it is "
        "known.",
        "next_step": "Look at the drift of the inputs for the same days; if the change is real, run training for the "
        "last closed day.",
        "ds": ds,
        "facts": {"value": short.value, "threshold": floor, "error": short.error, "rows": short.rows},
    }


def said(finding: Finding) -> str:
    """One finding in words."""
    measure, window = MEASURES[finding.measure], WINDOWS[finding.window]
    return f"{finding.column}: {measure} {window} {finding.value:.3g}, allowed below {finding.threshold:.3g}"
