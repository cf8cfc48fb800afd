"""Where a training's days are cut, so that no row is used before its outcome was known. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from imago.days import days_between, parse_day, shift
from imago.errors import ImagoError
from imago.specs import ModelSpec

LEAST_TRAINING_DAYS = 14


@dataclass(frozen=True)
class Cut:
    """The parts of one training, as first and last day, both included.

    Between two parts `label_delay_days` days are left out: their outcome was not known when the later part began.
    `tuning_first` is None when the spec asks for no tuning days; then `train_last` equals `trained_until`.
    """

    training_ds: str
    train_first: str
    train_last: str
    tuning_first: str | None
    trained_until: str  # last day that any contestant may have learned from
    holdout_first: str
    holdout_last: str

    @property
    def effective_ds(self) -> str:
        """The first day that a champion of this training scores."""
        return shift(self.training_ds, 1)

    def days(self, part: str) -> tuple[str, ...]:
        """The days of `train`, `tuning`, `fit` (both) or `holdout`."""
        if part == "train":
            return days_between(self.train_first, self.train_last)
        if part == "tuning":
            return days_between(self.tuning_first, self.trained_until) if self.tuning_first else ()
        if part == "holdout":
            return days_between(self.holdout_first, self.holdout_last)
        if part == "fit":
            return days_between(self.train_first, self.trained_until)
        raise ValueError(f"a cut has the parts train, tuning, fit and holdout, not {part!r}")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def cut(spec: ModelSpec, ds: str) -> Cut:
    """The cut of the training whose key is `ds`, the last closed day.

    With a label delay of 1 day and 30 holdout days, the training of 2013-10-01 judges on 2013-09-01..2013-09-30 and
    learns from days up to 2013-08-30. Raises ImagoError when the model's first day leaves too little to learn from.
    """
    plan, delay = spec.training, spec.label_delay_days
    holdout_last = shift(ds, -delay)
    holdout_first = shift(holdout_last, 1 - plan.holdout_days)
    trained_until = shift(holdout_first, -1 - delay)
    earliest = shift(spec.first_day, plan.warmup_days)
    train_first = max(earliest, shift(trained_until, 1 - plan.window_days))
    tuning_first = shift(trained_until, 1 - plan.tuning_days) if plan.tuning_days else None
    train_last = shift(tuning_first, -1 - delay) if tuning_first else trained_until
    shortest = shift(train_first, LEAST_TRAINING_DAYS - 1)
    if train_last < shortest:
        raise ImagoError(
            f"the training of {ds} would learn from {train_first} to {train_last}, fewer than "
            f"{LEAST_TRAINING_DAYS} days",
            model=spec.name,
            partition=ds,
            rule="days to learn from",
            next_step="train on a later day, or lower warmup_days, tuning_days or holdout_days in the spec",
        )
    return Cut(ds, train_first, train_last, tuning_first, trained_until, holdout_first, holdout_last)


def training_moment(spec: ModelSpec, ds: str) -> datetime:
    """The UTC moment (without zone) as of which the training of `ds` looks at the world: the end of that day, which is
    00:00 of the next one in the spec's time zone. A label that became known later takes no part.

    With a label delay of 1 day the last holdout day is `ds` - 1, whose outcomes are all told during `ds`.
    """
    local = datetime.combine(parse_day(shift(ds, 1)), time(0), tzinfo=ZoneInfo(spec.timezone))
    return local.astimezone(UTC).replace(tzinfo=None)
