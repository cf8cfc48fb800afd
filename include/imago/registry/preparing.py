"""The transformers of a pipeline as nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from imago.registry.inputs import MISSING_CATEGORY
from imago.registry.writing import UNKNOWN, Block, Coded, Dense, Graph, NotExported, Text, select, steps_of


def transformed(graph: Graph, step: Any, blocks: Sequence[Block]) -> list[Block]:
    """What a fitted transformer makes of the blocks. Raises NotExported."""
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return list(blocks)
    name = type(step).__name__
    if name == "Pipeline":
        for _, inner in step.steps:
            blocks = transformed(graph, inner, blocks)
        return list(blocks)
    if name == "ColumnTransformer":
        return _by_columns(graph, step, blocks)
    if name == "FeatureUnion":
        if step.transformer_weights:
            raise NotExported("a FeatureUnion with weights")
        return [block for _, inner in step.transformer_list for block in transformed(graph, inner, blocks)]
    if name == "FunctionTransformer" and step.func is None:
        return list(blocks)
    if blocks and all(isinstance(block, Text) for block in blocks):
        return _encoded(graph, step, [block.name for block in blocks if isinstance(block, Text)])
    if name not in _OF_NUMBERS:
        raise NotExported(f"no export for {name} of numbers")
    return _OF_NUMBERS[name](graph, step, graph.dense(blocks))


def _by_columns(graph: Graph, step: Any, blocks: Sequence[Block]) -> list[Block]:
    made: list[Block] = []
    for name, inner, _ in step.transformers_:
        if isinstance(inner, str) and inner == "drop":
            continue
        if step.transformer_weights and name in step.transformer_weights:
            raise NotExported("a ColumnTransformer with weights")
        chosen = select(graph, blocks, step._transformer_to_input_indices[name])
        if chosen and all(isinstance(block, Text) for block in chosen) and _encodes(inner):
            made += _encoded(graph, inner, [block.name for block in chosen if isinstance(block, Text)])
        elif chosen:
            made += transformed(graph, inner, chosen)
    return made


def _encodes(step: Any) -> bool:
    return any(hasattr(inner, "categories_") for inner in steps_of(step))


def _encoded(graph: Graph, step: Any, names: Sequence[str]) -> list[Block]:
    """A transformer of texts as a table for each column: asked once for each category that it knows, for a missing text
    and for one that it does not know. Where it refuses a text, the table holds NaN: such rows go to the pipeline."""
    known = _categories(step, len(names))
    base = pd.DataFrame({name: pd.Series([known[place][0]], dtype=object) for place, name in enumerate(names)})
    first = _answer(step, base)
    if first is None:
        raise NotExported(f"{type(step).__name__} refuses its own categories")
    tables, moves = [], []
    for place, name in enumerate(names):
        texts = [*known[place], UNKNOWN]
        frame = base.loc[np.zeros(len(texts), dtype=int)].reset_index(drop=True)
        frame[name] = pd.Series(texts, dtype=object)
        whole = _answer(step, frame)
        if whole is None:  # it refuses some of them
            rows = [_answer(step, frame.iloc[[row]]) for row in range(len(texts))]
            whole = np.concatenate([np.full_like(first, np.nan) if row is None else row for row in rows])
            answered = np.concatenate([row for row in rows if row is not None])
        else:
            answered = whole
        tables.append(whole)
        moves.append(_moving(answered))
    owners = _owners(step, moves)
    codes = {place: graph.codes(names[place], known[place]) for place in sorted({int(owner) for owner in owners})}
    made: list[Block] = []
    start = 0
    for column in range(1, len(owners) + 1):
        if column == len(owners) or owners[column] != owners[start]:
            owner = int(owners[start])
            made.append(Coded(codes[owner], tables[owner][:, start:column]))
            start = column
    return made


def _categories(step: Any, columns: int) -> list[list[str]]:
    """By column, the texts that an encoder may tell apart, the missing one last."""
    known: list[dict[str, None]] = [{} for _ in range(columns)]
    for inner in steps_of(step):
        listed = getattr(inner, "categories_", None)
        if listed is None and hasattr(inner, "statistics_"):
            listed = [[text] for text in inner.statistics_]
        if listed is None:
            continue
        if len(listed) != columns:
            raise NotExported(f"{type(inner).__name__} of other columns than its pipeline")
        for place, texts in enumerate(listed):
            known[place].update((str(text), None) for text in texts if isinstance(text, str))
    return [[*(text for text in texts if text != MISSING_CATEGORY), MISSING_CATEGORY] for texts in known]


def _answer(step: Any, frame: pd.DataFrame) -> np.ndarray | None:
    try:
        answer = step.transform(frame)
    except ValueError:  # a text that it refuses
        return None
    answer = answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)
    try:
        return answer.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise NotExported(f"{type(step).__name__} leaves texts") from error


def _moving(answers: np.ndarray) -> np.ndarray:
    """Which columns are not the same in every row."""
    same = (answers == answers[0]) | (np.isnan(answers) & np.isnan(answers[0]))
    return np.asarray(~same.all(axis=0))


def _owners(step: Any, moves: Sequence[np.ndarray]) -> np.ndarray:
    """For each column of an encoder's answer the input that it is made from; one that never moves may be of any."""
    moving = np.array(moves)
    if (moving.sum(axis=0) > 1).any():
        raise NotExported(f"{type(step).__name__} mixes its columns")
    return np.asarray(moving.argmax(axis=0))


def _imputed(graph: Graph, step: Any, data: Dense) -> list[Block]:
    if not (isinstance(step.missing_values, float) and np.isnan(step.missing_values)):
        raise NotExported("a SimpleImputer of another missing value than NaN")
    missing = graph.add("IsNaN", [data.tensor])
    fills = np.asarray(step.statistics_, dtype=np.float64)
    filled = graph.add("Where", [missing, graph.constant(fills), data.tensor])
    left = np.flatnonzero(~np.isnan(fills))
    made: list[Block] = []
    if len(left) == data.width:
        made.append(Dense(filled, data.width))
    elif len(left):
        made.append(Dense(graph.columns(filled, left.tolist()), len(left)))
    if step.add_indicator:
        made += _indicated(graph, step.indicator_, missing)
    return made


def _missing(graph: Graph, step: Any, data: Dense) -> list[Block]:
    if step.error_on_new and step.features == "missing-only":
        raise NotExported("a MissingIndicator that refuses new missing values")
    return _indicated(graph, step, graph.add("IsNaN", [data.tensor]))


def _indicated(graph: Graph, indicator: Any, missing: str) -> list[Block]:
    places = [int(place) for place in indicator.features_]
    return [Dense(graph.doubles(graph.columns(missing, places)), len(places))] if places else []


def _standard(graph: Graph, step: Any, data: Dense) -> list[Block]:
    return _shifted(graph, data, step.mean_ if step.with_mean else None, step.scale_ if step.with_std else None)


def _robust(graph: Graph, step: Any, data: Dense) -> list[Block]:
    centre, scale = step.center_ if step.with_centering else None, step.scale_ if step.with_scaling else None
    return _shifted(graph, data, centre, scale)


def _shifted(graph: Graph, data: Dense, centre: Any, scale: Any) -> list[Block]:
    tensor = data.tensor
    if centre is not None:
        tensor = graph.add("Sub", [tensor, graph.constant(centre)])
    if scale is not None:
        tensor = graph.add("Div", [tensor, graph.constant(scale)])
    return [Dense(tensor, data.width)]


def _min_max(graph: Graph, step: Any, data: Dense) -> list[Block]:
    scaled = graph.add("Mul", [data.tensor, graph.constant(step.scale_)])
    moved = graph.add("Add", [scaled, graph.constant(step.min_)])
    if step.clip:
        low, high = (graph.constant(bound) for bound in step.feature_range)
        clipped = graph.add("Clip", [moved, low, high])
        moved = graph.add("Where", [graph.add("IsNaN", [moved]), moved, clipped])
    return [Dense(moved, data.width)]


def _polynomial(graph: Graph, step: Any, data: Dense) -> list[Block]:
    factors = [np.repeat(np.arange(data.width), powers).tolist() for powers in step.powers_]
    made: list[Block] = []
    for degree in sorted({len(places) for places in factors}):
        terms = [places for places in factors if len(places) == degree]
        if degree == 0:
            some = graph.doubles(graph.add("IsNaN", [graph.columns(data.tensor, [0])]))
            nothing = graph.add("Mul", [some, graph.constant(0.0)])
            made.append(Dense(graph.add("Add", [nothing, graph.constant(1.0)]), len(terms)))
            continue
        product = graph.columns(data.tensor, [places[0] for places in terms])
        for factor in range(1, degree):
            product = graph.add("Mul", [product, graph.columns(data.tensor, [places[factor] for places in terms])])
        made.append(Dense(product, len(terms)))
    order = sorted(range(len(factors)), key=lambda place: len(factors[place]))
    whole = graph.dense(made)
    if order != list(range(len(factors))):
        whole = Dense(graph.columns(whole.tensor, np.argsort(order).tolist()), whole.width)
    return [whole]


def _binned(graph: Graph, step: Any, data: Dense) -> list[Block]:
    from onnx import TensorProto

    made: list[Block] = []
    for place in range(data.width):
        edges = np.asarray(step.bin_edges_[place][1:-1], dtype=np.float64)
        if len(edges):
            beyond = graph.add("GreaterOrEqual", [graph.columns(data.tensor, [place]), graph.constant(edges)])
            counted = graph.add("Cast", [beyond], to=TensorProto.INT64)
            codes = graph.add("ReduceSum", [counted, graph.constant([1], np.int64)], keepdims=0)
        else:
            nothing = graph.add("IsNaN", [graph.columns(data.tensor, [place])])
            zero = graph.add("Mul", [graph.add("Cast", [nothing], to=TensorProto.INT64), graph.constant(0, np.int64)])
            codes = graph.add("Reshape", [zero, graph.constant([-1], np.int64)])
        bins = len(edges) + 1
        table = np.arange(bins, dtype=np.float64)[:, None] if step.encode == "ordinal" else np.eye(bins)
        made.append(Coded(codes, table))
    return made


def _of_categories(graph: Graph, step: Any, data: Dense) -> list[Block]:
    """An encoder of numbers: each of its categories is looked for, and the one that is there picks its row."""
    made: list[Block] = []
    tables = []
    frame = np.array([[categories[0] for categories in step.categories_]], dtype=np.float64)
    for place, categories in enumerate(step.categories_):
        values = np.asarray(categories, dtype=np.float64)
        rows = np.repeat(frame, len(values) + 1, axis=0)
        rows[:, place] = [*values, np.nextafter(np.nanmax(np.abs(values)), np.inf) * 2 + 1]
        answer = step.transform(_named(step, rows))
        table = np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer, dtype=np.float64)
        tables.append(table)
        if np.isnan(values).any() or np.isnan(table).any():
            raise NotExported(f"{type(step).__name__} of numbers with a missing one among its categories")
    for column, owner in enumerate(_owners(step, [_moving(table) for table in tables])):
        values = np.asarray(step.categories_[owner], dtype=np.float64)
        table = tables[owner][:, [column]]
        equal = graph.doubles(graph.add("Equal", [graph.columns(data.tensor, [int(owner)]), graph.constant(values)]))
        chosen = graph.add("MatMul", [equal, graph.constant(table[:-1] - table[-1])])
        made.append(Dense(graph.add("Add", [chosen, graph.constant(table[-1])]), 1))
    return made


def _named(step: Any, rows: np.ndarray) -> Any:
    names = getattr(step, "feature_names_in_", None)
    return rows if names is None else pd.DataFrame(rows, columns=names)


_OF_NUMBERS: dict[str, Callable[[Graph, Any, Dense], list[Block]]] = {
    "SimpleImputer": _imputed,
    "MissingIndicator": _missing,
    "StandardScaler": _standard,
    "RobustScaler": _robust,
    "MinMaxScaler": _min_max,
    "PolynomialFeatures": _polynomial,
    "KBinsDiscretizer": _binned,
    "OneHotEncoder": _of_categories,
    "OrdinalEncoder": _of_categories,
    "TargetEncoder": _of_categories,
}
