"""Rows that an export has to answer as its pipeline does, beyond those of the holdout: values that are missing, unseen,
extreme, and right at the thresholds of the model.

Each kind is made from rows of the holdout. Where the pipeline itself refuses a value (see `answering`), no row has it:
such rows never reach the export.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from imago.registry.answering import Answers, categories_of
from imago.registry.inputs import MISSING_CATEGORY, frame_of
from imago.registry.outputs import scores_by_row
from imago.registry.writing import UNKNOWN, steps_of

Columns = dict[str, np.ndarray]
Features = Sequence[tuple[str, str]]

MIXED = 2_000  # rows in which any pair of columns may be hostile
MOST = 8_000  # rows of one kind
INTERVALS = 4  # of each column that are halved until the score's step is found
_LADDER = (1e300, 3e38, 1e30, 1e15)
# Values that arithmetic treats in its own way, and that any column may hold.
_SPECIAL = (0.0, -0.0, 5e-324, -5e-324, 1e-310, 1e-40, -1e-40, 1.0, -1.0, 0.1, 2.0**24 + 1, -(2.0**53))


def ordinary(
    pipeline: Any, holdout: Mapping[str, np.ndarray], features: Features, answers: Answers
) -> Iterator[tuple[str, Columns]]:
    """(what is tried, rows): missing values, categories, and thresholds, within the size of the holdout's numbers."""
    if not len(next(iter(holdout.values()), ())):
        return
    draw = np.random.default_rng(len(features))
    yield "rows with a missing value", _missing(holdout, features, answers)
    yield "rows with another category", _categorical(pipeline, holdout, features, answers)
    steps = [name for name, kind in features if kind == "numeric"]
    pools = {name: [holdout[name]] for name in steps}
    for name, values in (*_thresholds(pipeline, holdout, features), *_flips(pipeline, holdout, features, draw)):
        pools[name].append(_neighbours(values))
    merged = {name: _within(np.concatenate(pool), holdout[name]) for name, pool in pools.items()}
    yield "rows at the model's thresholds", _one_by_one(holdout, merged, draw)
    yield "mixed rows", _mixed(holdout, merged, features, answers, draw)


def sizes(holdout: Mapping[str, np.ndarray], features: Features) -> Iterator[float]:
    """How large numbers may be, from the largest that is tried down to ten times the holdout's."""
    yield from _LADDER
    numbers = [np.abs(holdout[name]) for name, kind in features if kind == "numeric"]
    finite = [values[np.isfinite(values)] for values in numbers]
    yield 10.0 * max((float(values.max(initial=0.0)) for values in finite), default=1.0)


def extreme(
    holdout: Mapping[str, np.ndarray], features: Features, answers: Answers, largest: float
) -> Iterator[Columns]:
    """Rows with numbers up to this size, alone and together."""
    draw = np.random.default_rng(len(features))
    pools = {}
    for name, kind in features:
        if kind == "numeric":
            finite = holdout[name][np.isfinite(holdout[name])]
            low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
            span = (high - low) or 1.0
            beyond = [low - span, high + span, low - 10 * span, high + 10 * span, np.nextafter(high, np.inf)]
            huge = [sign * largest / by for sign in (1, -1) for by in (1, 2, 1e3, 1e6)]
            values = np.array([*_SPECIAL, *beyond, *huge])
            pools[name] = values[np.abs(values) <= largest]
    if pools:
        yield _one_by_one(holdout, pools, draw)
    yield _mixed(holdout, pools, features, answers, draw)


def _some(holdout: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
    """Places of so many rows, spread evenly over the holdout."""
    return np.linspace(0, len(next(iter(holdout.values()))) - 1, rows).astype(int)


def _missing(holdout: Mapping[str, np.ndarray], features: Features, answers: Answers) -> Columns:
    """Copies of some rows: each with one column missing, each pair of neighbours, and all."""
    may = [(name, kind) for name, kind in features if name not in answers.missing]
    sets = [[one] for one in may] + [list(pair) for pair in itertools.pairwise(may)] + [may]
    each = max(1, min(20, MOST // max(len(sets), 1)))
    rows = {name: np.tile(values[_some(holdout, each)], len(sets)) for name, values in holdout.items()}
    for place, gone in enumerate(sets):
        for name, kind in gone:
            rows[name][place * each : (place + 1) * each] = np.nan if kind == "numeric" else MISSING_CATEGORY
    return rows


def _categorical(pipeline: Any, holdout: Mapping[str, np.ndarray], features: Features, answers: Answers) -> Columns:
    pools = {name: np.array(pool, dtype=object) for name, pool in _texts(pipeline, holdout, features, answers).items()}
    return _one_by_one(holdout, pools, np.random.default_rng(0))


def _texts(
    pipeline: Any | None, holdout: Mapping[str, np.ndarray], features: Features, answers: Answers
) -> dict[str, list[str]]:
    pools = {}
    for name, kind in features:
        if kind != "categorical":
            continue
        texts = {*map(str, np.unique(holdout[name])), *(categories_of(pipeline, name) if pipeline is not None else ())}
        if name in answers.unseen:
            texts &= answers.known[name]
        else:
            texts |= {UNKNOWN, "a new one", "\u00e9\u4e2d\U0001f600", " "}
        pools[name] = sorted(texts - ({MISSING_CATEGORY} if name in answers.missing else set()))
    return {name: pool for name, pool in pools.items() if pool}


def _one_by_one(holdout: Mapping[str, np.ndarray], pools: Mapping[str, np.ndarray], draw: Any) -> Columns:
    """Each value of each pool in a row of the holdout, and again in rows in which every column is of its pool."""
    most = MOST // max(2 * len(pools), 1)
    drawn = {
        name: pool if len(pool) <= most else draw.choice(pool, most, replace=False) for name, pool in pools.items()
    }
    alone = sum(map(len, drawn.values()))
    together = max(map(len, drawn.values()), default=0)
    places = np.resize(_some(holdout, min(50, len(next(iter(holdout.values()))))), alone + together)
    rows = {name: values[places] for name, values in holdout.items()}
    start = 0
    for name, pool in drawn.items():
        rows[name][start : start + len(pool)] = pool
        rows[name][alone:] = draw.permutation(np.resize(pool, together))
        start += len(pool)
    return rows


def _mixed(
    holdout: Mapping[str, np.ndarray], pools: Mapping[str, np.ndarray], features: Features, answers: Answers, draw: Any
) -> Columns:
    """Rows of the holdout in which some columns are of their pool, missing, or of another category."""
    places = np.resize(_some(holdout, min(200, len(next(iter(holdout.values()))))), MIXED)
    rows = {name: values[places] for name, values in holdout.items()}
    share = np.where(np.arange(MIXED) % 2, min(1.0, 2 / max(len(features), 1)), 0.5)
    texts = _texts(None, holdout, features, answers)
    for name, kind in features:
        pool = pools.get(name) if kind == "numeric" else texts.get(name)
        if pool is not None and len(pool):
            changed = draw.random(MIXED) < share
            rows[name][changed] = draw.choice(np.asarray(pool, dtype=rows[name].dtype), int(changed.sum()))
        if name not in answers.missing:
            gone = draw.random(MIXED) < 0.1
            rows[name][gone] = np.nan if kind == "numeric" else MISSING_CATEGORY
    return rows


def _neighbours(values: np.ndarray) -> np.ndarray:
    """The values with the doubles and floats beside them, and the doubles at which a float is rounded up or down."""
    with np.errstate(over="ignore", invalid="ignore"):
        floats = values.astype(np.float32)
        around = [np.nextafter(floats, np.float32(end)).astype(np.float64) for end in (-np.inf, np.inf)]
        ties = [(floats.astype(np.float64) + one) / 2 for one in around]
        centres = np.concatenate([values, floats.astype(np.float64), *around, *ties])
        every = np.concatenate([centres, np.nextafter(centres, -np.inf), np.nextafter(centres, np.inf)])
    return np.unique(every[np.isfinite(every)])


def _within(values: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The distinct values that are no larger than some that the column holds might be."""
    finite = values[np.isfinite(values)]
    largest = 10.0 * float(np.abs(column[np.isfinite(column)]).max(initial=1.0))
    return np.unique(finite[np.abs(finite) <= largest])


def _thresholds(
    pipeline: Any, holdout: Mapping[str, np.ndarray], features: Features
) -> Iterator[tuple[str, np.ndarray]]:
    """What the steps themselves name: the edges of bins, and the thresholds of trees for columns that reach them as
    they are. Those of others are found by `_flips`."""
    names = [name for name, kind in features if kind == "numeric"]
    for step in steps_of(pipeline):
        kind = type(step).__name__
        if kind == "KBinsDiscretizer":
            read = [name for name in getattr(step, "feature_names_in_", ()) if name in names]
            for name, edges in zip(read, step.bin_edges_, strict=False):
                yield name, np.asarray(edges, dtype=np.float64)
        found = _splits(step)
        if found is not None:
            every = np.unique(found[np.isfinite(found)])
            for name in names:
                column = holdout[name][np.isfinite(holdout[name])]
                if len(column):
                    yield name, every[(every >= column.min()) & (every <= column.max())]


def _splits(step: Any) -> np.ndarray | None:
    """The thresholds of a step that is made of trees."""
    if hasattr(step, "_predictors"):
        nodes = [tree.nodes for stage in step._predictors for tree in stage]
        return np.concatenate([each["num_threshold"][~each["is_leaf"].astype(bool)] for each in nodes])
    if hasattr(step, "estimators_") or hasattr(step, "tree_"):
        trees = [tree.tree_ for tree in getattr(step, "estimators_", [step])]
        return np.concatenate([tree.threshold[tree.children_left >= 0] for tree in trees])
    return None


def _flips(
    pipeline: Any, holdout: Mapping[str, np.ndarray], features: Features, draw: Any
) -> Iterator[tuple[str, np.ndarray]]:
    """The doubles at which the pipeline's own score takes a step, whatever its transformers do with a column: intervals
    of the holdout's values, halved until nothing is left between their ends."""
    if all(_splits(step) is None for step in steps_of(pipeline)):
        return
    names, lows, highs = [], [], []
    for name, kind in features:
        values = np.unique(holdout[name][np.isfinite(holdout[name])]) if kind == "numeric" else np.empty(0)
        if len(values) > 1:
            for place in np.unique(draw.integers(0, len(values) - 1, INTERVALS)):
                names.append(name)
                lows.append(values[place])
                highs.append(values[-1] if place % 2 else values[place + 1])
    if not names:
        return
    low, high = np.array(lows), np.array(highs)
    base = {name: np.repeat(values[_some(holdout, 1)], len(names)) for name, values in holdout.items()}

    def scores(values: np.ndarray) -> np.ndarray:
        rows = {name: cells.copy() for name, cells in base.items()}
        for place, name in enumerate(names):
            rows[name][place] = values[place]
        return np.atleast_2d(scores_by_row(pipeline, frame_of(rows), _problem(pipeline)).T).T

    left = scores(low)
    for _ in range(64):
        middle = low + (high - low) / 2
        if not ((middle > low) & (middle < high)).any():
            break
        same = (scores(middle) == left).all(axis=1)
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    for name in dict.fromkeys(names):
        mine = np.array([other == name for other in names])
        yield name, np.concatenate([low[mine], high[mine]])


def _problem(pipeline: Any) -> str:
    classes = getattr(pipeline, "classes_", None)
    return "regression" if classes is None else "binary" if len(classes) == 2 else "multiclass"
