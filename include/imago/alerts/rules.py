"""What may be alerted: every rule has a severity, an owner, a way to heal, and a runbook page of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imago.errors import ImagoError

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[str, ...] = ("info", "warning", "critical")  # mildest first


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of alert.

    A `condition` opens an incident that stays open until it heals; an `event` is told once. A condition `heals` per
    `day` when every alerted day has to be mended (a refused partition), or with the `latest` day when a good later day
    ends it (drift). `worse` says which of two values is the worst one. `fails_run`: the stage that raises it fails on
    purpose, so that the failure of its task needs no second alert. Owner `model` is the spec's owner, `platform`
    whoever runs Imago. An incident that is open for the hours of `lasts` is told again, each time a step more severe
    until `at_most`.
    """

    name: str
    summary: str
    severity: Severity = "warning"
    owner: Literal["model", "platform"] = "model"
    kind: Literal["condition", "event"] = "condition"
    heals: Literal["day", "latest"] = "latest"
    worse: Literal["higher", "lower"] = "higher"
    fails_run: bool = False
    lasts: tuple[float, ...] = (24.0,)
    at_most: Severity = "critical"

    @property
    def runbook(self) -> str:
        """The page that says what to do, relative to the folder `docs`."""
        return f"runbooks/{self.name}.md"


_SOON = (4.0, 24.0)  # hours, for what stops the day's work
_ALL = (
    Rule(
        name="partition_refused",
        summary="days of features or outcomes were turned down and not published",
        severity="critical",
        heals="day",
        fails_run=True,
        lasts=_SOON,
    ),
    # What the contract calls a warning does not become critical by lasting.
    Rule(
        name="audit_warning",
        summary="days were published although a rule of their contract warns",
        lasts=(168.0,),
        at_most="warning",
    ),
    Rule(
        name="prediction_refused",
        summary="predictions of a day were turned down by their audit and not published",
        severity="critical",
        heals="day",
        fails_run=True,
        lasts=_SOON,
    ),
    Rule(
        name="task_failed",
        summary="a task failed after all its retries",
        severity="critical",
        heals="day",
        lasts=_SOON,
    ),
    Rule(
        name="candidate_failed",
        summary="a candidate could not be trained; the others were, and are judged without it",
        lasts=(168.0,),
        at_most="warning",
    ),
    Rule(
        name="baseline_not_beaten",
        summary="no candidate beat the best naive rule; the champion stays",
        severity="critical",
        fails_run=True,
    ),
    Rule(
        name="leak_suspected",
        summary="a score is too good to be true; nobody was promoted",
        severity="critical",
        fails_run=True,
    ),
    Rule(
        name="release_rejected",
        summary="a gate of the fair fight could not be passed or not be judged; nobody was promoted",
        severity="critical",
        fails_run=True,
    ),
    Rule(name="champion_promoted", summary="a new champion reigns", severity="info", kind="event"),
    Rule(name="champion_kept", summary="the champion defended its place", severity="info", kind="event"),
    Rule(name="champion_rolled_back", summary="an earlier champion reigns again", kind="event"),
    Rule(
        name="approval_awaited",
        summary="a challenger waits for a person's approval",
        severity="info",
        at_most="warning",
    ),
    Rule(
        name="champion_alias_moved",
        summary="an alias of the registry was moved past the ledger",
        severity="critical",
        owner="platform",
    ),
    Rule(
        name="champion_version_deleted",
        summary="a version that reigns, or may have to again, was deleted",
        owner="platform",
    ),
    Rule(name="approval_ended", summary="a challenger that waited for approval was not promoted", kind="event"),
    # A season lasts: it is told again, and no louder.
    Rule(
        name="drift",
        summary="inputs or scores no longer look as they did in training",
        lasts=(72.0, 168.0),
        at_most="warning",
    ),
    Rule(name="missing_values", summary="a column's missing or unseen values rose", severity="critical"),
    Rule(name="volume", summary="a day has far more or fewer rows than usual"),
    Rule(
        name="estimated_floor",
        summary="the scores themselves say that the metric is below its floor; no label shows it yet",
        worse="lower",
    ),
    Rule(
        name="metric_drop",
        summary="a matured cohort is far worse than the champion was on its holdout",
        severity="critical",
        worse="lower",
    ),
    Rule(
        name="metric_floor",
        summary="a matured metric fell through its floor",
        severity="critical",
        worse="lower",
        lasts=(72.0,),
    ),
    Rule(
        name="endpoint_failed",
        summary="the endpoint did not prove the new champion",
        severity="critical",
        fails_run=True,
        lasts=_SOON,
    ),
    Rule(
        name="shadow_failed",
        summary="a version could not score or be compared in the shadow; nothing that counts has changed",
        fails_run=True,
    ),
    Rule(
        name="partition_late",
        summary="a partition was not published by its deadline",
        severity="critical",
        heals="day",
        lasts=_SOON,
    ),
    Rule(
        name="run_missing",
        summary="a scheduled run never started",
        severity="critical",
        owner="platform",
        heals="day",
        lasts=_SOON,
    ),
    Rule(
        name="run_unreported",
        summary="a run failed and no callback said so",
        severity="critical",
        heals="day",
        lasts=_SOON,
    ),
    Rule(
        name="task_killed",
        summary="an attempt of a task was killed and could not say why",
        owner="platform",
        heals="day",
    ),
    Rule(
        name="spec_broken",
        summary="a model's spec does not load, so its DAGs are gone",
        severity="critical",
        owner="platform",
        lasts=_SOON,
    ),
    Rule(name="dag_paused", summary="a DAG is paused, so nothing runs", owner="platform"),
    Rule(
        name="delivery_stalled",
        summary="alerts wait longer than they may",
        severity="critical",
        owner="platform",
        lasts=_SOON,
    ),
    Rule(
        name="airflow_down",
        summary="a part of Airflow does not run",
        severity="critical",
        owner="platform",
        lasts=(1.0, *_SOON),
    ),
    Rule(
        name="ledger_down",
        summary="the ledger does not answer",
        severity="critical",
        owner="platform",
    ),
    Rule(name="backfill_digest", summary="what a backfill did, in one message", severity="info", kind="event"),
)

RULES: dict[str, Rule] = {rule.name: rule for rule in _ALL}

# What the watchdog looks for.
WATCHED = frozenset(
    {
        "partition_late",
        "run_missing",
        "run_unreported",
        "task_killed",
        "dag_paused",
        "spec_broken",
        "delivery_stalled",
        "airflow_down",
    }
)


def get_rule(name: str) -> Rule:
    """The rule called `name`; an unknown one is refused with those that exist."""
    try:
        return RULES[name]
    except KeyError:
        raise ImagoError(
            f"there is no alert rule {name!r}",
            rule=name,
            allowed=", ".join(RULES),
            next_step="add it to imago.alerts.rules, with a page in docs/runbooks",
        ) from None
