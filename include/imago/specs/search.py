"""A candidate's hyper-parameter search as plain data: which settings, between which values, and what it may cost."""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from imago.specs.part import Part

# As scikit-learn names it in the pipeline: the step, two underscores, the parameter.
Setting = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Value = bool | int | float | str | None


class Choice(Part):
    """A setting that takes one of the named values."""

    setting: Setting
    values: Annotated[tuple[Value, ...], Field(min_length=2)]

    @field_validator("values")
    @classmethod
    def _each_once(cls, values: tuple[Value, ...]) -> tuple[Value, ...]:
        if len({repr(value) for value in values}) < len(values):
            raise ValueError("allowed: each value once")
        return values

    @property
    def size(self) -> float:
        """How many values there are."""
        return len(self.values)

    def value(self, share: float) -> Value:
        """The value at a share of the way, 0 included and 1 not."""
        return self.values[int(share * len(self.values))]


class Range(Part):
    """A setting between `low` and `high`, both included: a whole number when both are written as such. With `log`, each
    doubling is as likely as the next."""

    setting: Setting
    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError("high: allowed above low")
        if self.log and self.low <= 0:
            raise ValueError("low: allowed above 0 where log is set")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def size(self) -> float:
        """How many values there are."""
        return self.high - self.low + 1 if self.whole else math.inf

    def value(self, share: float) -> Value:
        """The value at a share of the way, 0 included and 1 not."""
        low, high = self.low, self.high + 1 if self.whole else self.high
        found = low * (high / low) ** share if self.log else low + share * (high - low)
        return min(math.floor(found), int(self.high)) if self.whole else min(found, float(self.high))


class Search(Part):
    """Settings to try besides those that `build` writes, which are tried first and keep a tie.

    `trials` is how many; once the trials have taken `seconds`, no further one begins. Make `seconds` generous: a search
    that it ends depends on how fast the machine is. The best on the tuning days by the primary metric is fitted again.
    """

    space: Annotated[tuple[Choice | Range, ...], Field(min_length=1)]
    trials: Annotated[int, Field(ge=1, le=1000)]
    seconds: Annotated[float, Field(gt=0)]

    @field_validator("space")
    @classmethod
    def _each_setting_once(cls, space: tuple[Choice | Range, ...]) -> tuple[Choice | Range, ...]:
        names = [part.setting for part in space]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"allowed: each setting once, but {', '.join(twice)} stand twice")
        return space

    def plain(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return self.model_dump(mode="json")
