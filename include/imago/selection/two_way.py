"""Draws of days and of entities, made one.

What a day brings to all and what an entity brings to all of its days are two lucks, so both are drawn, and the variance
of a difference is that over entities, plus that over blocks of days, less what both count twice: that over the cells
where one entity meets one block (Cameron, Gelbach and Miller 2011, "Robust inference with multiway clustering"). It is
never taken for less than the larger of the two. Draws of one side alone would miss the other, and weights that are the
product of both (Owen 2007, "The pigeonhole bootstrap") count pure noise three times.

The draws give the shape: each is one of the days plus an independent one of the entities, scaled to that variance. The
degrees of freedom, by which few units widen an interval, are Satterthwaite's of 1946. Pure.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from imago.selection.units import Units

# Entities beyond are put together at random: a variance over so many groups is as good, and the draws stay small.
MOST_GROUPS = 1000


class Draws:
    """The draws of one comparison, the same for all who take part in it."""

    def __init__(self, units: Units, seed: int, resamples: int) -> None:
        self.units = units
        self.seed = seed
        self.resamples = resamples

    @cached_property
    def days(self) -> np.ndarray:
        """(resamples, days): how often each day is drawn."""
        return self.units.drawn_days(self.seed, self.resamples)

    @cached_property
    def _entities(self) -> tuple[np.ndarray, np.ndarray]:
        """The group of each row, and (resamples, groups) how much more often than once each is drawn."""
        random = np.random.default_rng([self.seed, 2])
        entities = self.units.entity_count
        groups = min(entities, MOST_GROUPS)
        group_of = random.permutation(entities) % groups
        drawn = random.multinomial(groups, np.full(groups, 1 / groups), size=self.resamples)
        return group_of[self.units.entity_codes], drawn - 1.0

    def spread(self, estimate: float, by_day: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, float]:
        """The estimate on each draw, and on how many units it rests.

        `by_day` is the estimate on each draw of days, `slope` the influence of each row (see `influence`); a draw that
        gave no number stays one.
        """
        units = self.units
        if not units.draws_entities:
            return by_day, units.blocks
        group_of, drawn = self._entities
        by_entity = drawn @ np.bincount(group_of, weights=slope, minlength=drawn.shape[1])
        entities, blocks = float(units.entity_count), units.blocks
        over_entities = variance(np.bincount(units.entity_codes, weights=slope))
        if not units.draws_days:
            return estimate + _scaled(by_entity, over_entities, entities), entities
        around = by_day - estimate
        known = around[np.isfinite(around)]
        over_days = float(np.var(known, ddof=1)) * blocks / (blocks - 1) if len(known) > 1 else 0.0
        both = over_entities + over_days - variance(np.bincount(units.cell_codes, weights=slope))
        whole = max(both, over_entities, over_days)
        # Each side brings as much of the shape as it has of the variance.
        mixed = _scaled(around, over_days, np.inf) + _scaled(by_entity, over_entities, np.inf)
        parts = over_days**2 / (blocks - 1) + over_entities**2 / (entities - 1)
        count = 1 + (whole**2 / parts if parts > 0 else min(blocks, entities) - 1)
        count = float(np.clip(count, min(blocks, entities), blocks + entities))
        return estimate + _scaled(mixed, whole, count), count


def variance(sums: np.ndarray) -> float:
    """The variance of a total whose units add these sums.

    >>> variance(np.array([1.0, -1.0]))
    4.0
    """
    count = len(sums)
    return float(np.var(sums, ddof=1) * count) if count > 1 else 0.0


def _scaled(values: np.ndarray, variance: float, count: float) -> np.ndarray:
    """Values around 0 with this variance, less what draws of so many units lack of it."""
    known = values[np.isfinite(values)]
    spread = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
    lacking = 1 - 1 / count if np.isfinite(count) else 1.0
    return values * (np.sqrt(variance * lacking) / spread) if spread > 0 else values * 0.0
