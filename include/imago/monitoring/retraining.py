"""May a drift start a training? A pure decision, so that no model trains in a circle.

Learning again helps where the world changed and the data are whole. It does not help where a source broke, where a new
champion reigns already, and where two trainings in a row gave no better model: then a person has to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imago.days import parse_day
from imago.monitoring.drift import Verdict
from imago.specs import Drift

Outcome = Literal["triggered", "cooling", "exhausted", "superseded", "broken"]


@dataclass(frozen=True)
class Earlier:
    """A training that an earlier drift started: of which day, and of which champion."""

    ds: str
    reference: str


@dataclass(frozen=True)
class Decision:
    """What becomes of a drift, and why."""

    outcome: Outcome
    reason: str


def asks(verdicts: Sequence[Verdict]) -> bool:
    """Whether a day's verdicts speak of a changed world: inputs or predictions."""
    return any(one.fired for one in verdicts if one.concern in ("inputs", "predictions"))


def decide(
    ds: str,
    verdicts: Sequence[Verdict],
    *,
    reference: str,
    reigning: str | None,
    earlier: Sequence[Earlier],
    drift: Drift,
) -> Decision:
    """`reference` is the champion whose days drifted, `reigning` the one that reigns now, `earlier` the trainings that
    drifts of this model started before this day, oldest first."""
    drifting = ", ".join(one.columns[0] for one in verdicts if one.fired)
    broken = [one.columns[0] for one in verdicts if one.fired and one.concern in ("missing_values", "volume")]
    if broken:
        return Decision("broken", f"{broken[0]} looks like a broken source, and a model must not learn from that")
    if reigning != reference:
        return Decision("superseded", "the champion that drifted reigns no more")
    if earlier:
        last = earlier[-1]
        days = (parse_day(ds) - parse_day(last.ds)).days
        if days < drift.retrain_cooldown_days:
            return Decision(
                "cooling",
                f"the drift of {last.ds} started a training {days} days ago; "
                f"{drift.retrain_cooldown_days} days have to lie between two",
            )
        in_a_row = 0
        for one in reversed(earlier):
            if one.reference != reference:
                break
            in_a_row += 1
        if in_a_row >= drift.retrain_limit:
            return Decision(
                "exhausted", f"{in_a_row} trainings in a row gave no new champion: another one would not either"
            )
    return Decision("triggered", f"confirmed drift on {ds}, first of all {drifting}")
