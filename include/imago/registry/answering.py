"""What a fitted pipeline can answer: it is asked, once, at training time, and the answers stand in the model's card.

A pipeline without an imputer refuses a missing value, an encoder as it is by default a new category, a forest a number
beyond float32. Scoring goes by these answers row by row, where scikit-learn would refuse the whole batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from imago.registry.inputs import MISSING_CATEGORY, frame_of
from imago.registry.outputs import scores_by_row
from imago.registry.writing import UNKNOWN, steps_of

ASKED_WITH = 3  # rows of the holdout
BEYOND_FLOAT = 1e39
LARGEST_FLOAT = 3.4028235677973362e38  # of doubles, the largest that is rounded to a finite float32


@dataclass(frozen=True)
class Answers:
    """`missing`, `unseen`, `infinite`, `huge` (beyond float32): the columns whose rows it cannot answer then. `known`
    are the categories that it can answer, of each column in `unseen`."""

    missing: frozenset[str] = frozenset()
    unseen: frozenset[str] = frozenset()
    infinite: frozenset[str] = frozenset()
    huge: frozenset[str] = frozenset()
    known: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, for the card: what is refused, by column; `from_dict` reads it back."""
        return {
            **{name: sorted(getattr(self, name)) for name in ("missing", "unseen", "infinite", "huge")},
            "known": {name: sorted(texts) for name, texts in sorted(self.known.items())},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Answers:
        """The answers that `as_dict` gave."""
        refused = {name: frozenset(data.get(name, ())) for name in ("missing", "unseen", "infinite", "huge")}
        return cls(known={name: frozenset(texts) for name, texts in data.get("known", {}).items()}, **refused)


def answers_of(
    pipeline: Any, columns: Mapping[str, np.ndarray], features: Sequence[tuple[str, str]], problem: str
) -> Answers:
    """Asks with rows of the holdout in which one value is another."""
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers that overflow
        return _asked(pipeline, columns, features, problem)


def _asked(
    pipeline: Any, columns: Mapping[str, np.ndarray], features: Sequence[tuple[str, str]], problem: str
) -> Answers:
    rows = len(next(iter(columns.values()), ()))
    places = np.unique(np.linspace(0, rows - 1, min(ASKED_WITH, rows)).astype(int))
    base = {name: values[places] for name, values in columns.items()}

    def refuses(name: str, *values: Any) -> bool:
        return not all(_answered(pipeline, base, name, value, problem) for value in values)

    texts = [name for name, kind in features if kind == "categorical"]
    numbers = [name for name, kind in features if kind == "numeric"]
    unseen = frozenset(name for name in texts if refuses(name, UNKNOWN))
    listed = {name: sorted({*map(str, np.unique(columns[name])), *categories_of(pipeline, name)}) for name in unseen}
    return Answers(
        missing=frozenset(
            [name for name in texts if refuses(name, MISSING_CATEGORY)]
            + [name for name in numbers if refuses(name, np.nan)]
        ),
        unseen=unseen,
        infinite=frozenset(name for name in numbers if refuses(name, np.inf, -np.inf)),
        huge=frozenset(name for name in numbers if refuses(name, BEYOND_FLOAT, -BEYOND_FLOAT)),
        known={
            name: frozenset(text for text, answered in zip(values, _each(pipeline, base, name, values, problem),
                                                           strict=True) if answered)
            for name, values in listed.items()
        },
    )  # fmt: skip


def _answered(pipeline: Any, base: Mapping[str, np.ndarray], name: str, value: Any, problem: str) -> bool:
    changed = {**base, name: np.full_like(base[name], value)}
    return bool(np.isfinite(scores_by_row(pipeline, frame_of(changed), problem)).all())


def _each(
    pipeline: Any, base: Mapping[str, np.ndarray], name: str, values: Sequence[str], problem: str
) -> Iterator[bool]:
    rows = {other: np.repeat(cells[:1], len(values)) for other, cells in base.items()}
    rows[name] = np.array(values, dtype=object)
    scores = scores_by_row(pipeline, frame_of(rows), problem)
    yield from np.isfinite(scores.reshape(len(values), -1)).all(axis=1).tolist()


def categories_of(pipeline: Any, name: str) -> set[str]:
    """The texts that the pipeline's encoders know, of this column where they say of which."""
    known: set[str] = set()
    for step in steps_of(pipeline):
        names = getattr(step, "feature_names_in_", None)
        for place, texts in enumerate(getattr(step, "categories_", ())):
            if names is None or names[place] == name:
                known.update(str(text) for text in texts if isinstance(text, str))
    return known
