"""What is drawn again and again to see how far a metric moves by chance: whatever repeats. Pure.

Rows that share something share their luck, so they are drawn together:

- **Days.** Rows of one day share its weather. Labels that look further ahead than the next day share what happens in
  the days that both look at, so days are drawn in blocks as long as a label looks ahead (`horizon`), from any day on
  and around the end (Politis and Romano 1992, "A circular block-resampling procedure for stationary data").
- **Entities.** Whoever is scored day after day brings the same luck each time: all rows of one entity are drawn at
  once.

An interval needs `LEAST_UNITS` of whatever is drawn. Where the days do not give so many blocks as long as the horizon,
blocks are shortened until they do, and `warning` says what stays uncounted and how many days would count it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from imago.specs import ModelSpec

By = Literal["auto", "days", "entities"]
# On fewer everything can lie on one side by luck: that all of 3 days favour the first has a chance of 1 in 8.
LEAST_UNITS = 7


@dataclass(frozen=True, eq=False)
class Units:
    """The units of some rows. `days` is the day of each row and `entities` the number of its entity, None where it is
    not known; `horizon` is how many days a label looks ahead. `by` is what the spec asks for: `auto` draws days, and
    entities where some come back; `days` and `entities` draw those alone."""

    days: np.ndarray
    entities: np.ndarray | None = None
    horizon: int = 1
    by: By = "auto"
    called: str = "entities"  # what comes back, as people name it

    @classmethod
    def of_rows(cls, spec: ModelSpec, rows: pa.Table) -> Units:
        """The units of rows with the spec's key and day, by its `resample_by`."""
        by: By = "days" if spec.resample_by == "days" else "entities" if spec.resample_by == "entities" else "auto"
        columns = (spec.resample_by,) if spec.resample_by in spec.entity_keys else spec.entity_keys
        entities = np.zeros(rows.num_rows, dtype=np.int64)
        for name in columns:
            codes = rows.column(name).combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
            entities = np.unique(entities * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1]
        called = f"values of {columns[0]}" if len(columns) == 1 else f"values of ({', '.join(columns)})"
        return cls(rows.column("ds").to_numpy(), entities, max(1, spec.label_delay_days), by, called)

    @classmethod
    def of_days(cls, days: Sequence[str] | np.ndarray) -> Units:
        """Rows of entities that never come back, with labels known at the end of the next day."""
        return cls(np.asarray(days))

    def at(self, rows: Any) -> Units:
        """The units of a part of the rows (a mask or a slice)."""
        return replace(self, days=self.days[rows], entities=None if self.entities is None else self.entities[rows])

    @cached_property
    def _by_day(self) -> tuple[int, np.ndarray]:
        names, codes = np.unique(self.days, return_inverse=True)
        return len(names), codes

    @cached_property
    def _by_entity(self) -> tuple[int, np.ndarray]:
        if self.entities is None:
            return len(self.days), np.arange(len(self.days))
        names, codes = np.unique(self.entities, return_inverse=True)
        return len(names), codes

    @property
    def day_count(self) -> int:
        return self._by_day[0]

    @property
    def day_codes(self) -> np.ndarray:
        return self._by_day[1]

    @property
    def entity_count(self) -> int:
        return self._by_entity[0]

    @property
    def entity_codes(self) -> np.ndarray:
        return self._by_entity[1]

    @property
    def draws_days(self) -> bool:
        return self.by != "entities"

    @property
    def draws_entities(self) -> bool:
        return self.by == "entities" or (self.by == "auto" and self.entity_count < len(self.days))

    @property
    def block(self) -> int:
        """How many days are drawn at once."""
        return max(1, min(self.horizon, self.day_count // LEAST_UNITS))

    @property
    def blocks(self) -> float:
        """How many blocks the days make; the last may be a part of one."""
        return self.day_count / self.block

    @cached_property
    def cell_codes(self) -> np.ndarray:
        """The number of each row's cell, where one entity meets one block of days."""
        cells = self.entity_codes * self.day_count + self.day_codes // self.block
        return np.unique(cells, return_inverse=True)[1]

    @property
    def measurable(self) -> bool:
        """Whether anything can be drawn at all: an error can be told of two units."""
        return (not self.draws_days or self.day_count > 1) and (not self.draws_entities or self.entity_count > 1)

    @property
    def fault(self) -> str | None:
        """Why there can be no interval; None when there can."""
        if self.draws_days and self.day_count < LEAST_UNITS:
            return f"{self.day_count} days, and an interval needs {LEAST_UNITS}"
        if self.draws_entities and self.entity_count < LEAST_UNITS:
            return (
                f"{self.entity_count} {self.called} that come back, and an interval needs {LEAST_UNITS}; where these "
                'are all that there will ever be, say resample_by="days" in the spec'
            )
        return None

    @property
    def words(self) -> str:
        """What is drawn.

        >>> Units(np.repeat(["d1", "d2", "d3", "d4", "d5", "d6", "d7"], 2), np.tile([1, 2], 7), 30).words
        '2 entities and 7 days'
        """
        said = [f"{self.entity_count:,} {self.called}"] if self.draws_entities else []
        if self.draws_days:
            said.append(f"{self.day_count} days" if self.block == 1 else f"blocks of {self.block} days")
        return " and ".join(said)

    @property
    def warning(self) -> str | None:
        """What the draws cannot count on so few days; None where nothing is left out."""
        if not self.draws_days or self.fault or self.block >= self.horizon:
            return None
        block = "single days" if self.block == 1 else f"blocks of {self.block} days"
        return (
            f"a label looks {self.horizon} days ahead, and {self.day_count} days do not hold {LEAST_UNITS} blocks of "
            f"as many: {block} are drawn, so luck that all rows share for longer is not counted; "
            f"training.holdout_days={LEAST_UNITS * self.horizon} would count it"
        )

    def drawn_days(self, seed: int, resamples: int) -> np.ndarray:
        """(resamples, days): how often each day is drawn. Each draw has as many days as there are."""
        days, block = self.day_count, self.block
        random = np.random.default_rng(seed)
        if block == 1:
            return random.multinomial(days, np.full(days, 1 / days), size=resamples)
        full, rest = divmod(days, block)
        drawn = np.zeros((resamples, days), dtype=np.int64)
        for length, count in ((block, full), (rest, 1)):
            starts = random.multinomial(count, np.full(days, 1 / days), size=resamples)
            for step in range(length):
                drawn += np.roll(starts, step, axis=1)
        return drawn
