"""The last step of a pipeline as nodes of a graph: from numbers to scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from imago.registry.writing import Block, Coded, Graph, NotExported, width_of


def scored(graph: Graph, model: Any, blocks: Sequence[Block], problem: str) -> str:
    """The tensor of a fitted predictor's scores. Raises NotExported."""
    name = type(model).__name__
    if name not in _KINDS:
        raise NotExported(f"no export for {name}")
    if problem == "binary" and list(model.classes_) != [0, 1]:
        raise NotExported("a binary model of other classes than 0 and 1")
    return _KINDS[name](graph, model, blocks, problem)


def _linear(graph: Graph, model: Any, blocks: Sequence[Block], problem: str) -> str:
    """The sum of what each column adds. What a category adds is summed up here, once, and not for each row."""
    weights = np.asarray(model.coef_, dtype=np.float64)
    weights = weights.reshape(-1, weights.shape[-1]).T
    total = graph.constant(np.asarray(model.intercept_, dtype=np.float64).reshape(1, -1))
    start = 0
    numbers: list[Block] = []
    of_numbers: list[np.ndarray] = []
    for block in blocks:
        end = start + width_of(block)
        if isinstance(block, Coded):
            added = graph.add("Gather", [graph.constant(block.table @ weights[start:end]), block.codes], axis=0)
            total = graph.add("Add", [added, total])
        else:
            numbers.append(block)
            of_numbers.append(weights[start:end])
        start = end
    if numbers:
        product = graph.add("MatMul", [graph.dense(numbers).tensor, graph.constant(np.concatenate(of_numbers))])
        total = graph.add("Add", [product, total])
    return _linked(graph, total, "identity" if problem == "regression" else problem)


def _linked(graph: Graph, raw: str, link: str) -> str:
    if link == "multiclass":
        return graph.add("Softmax", [raw], axis=1)
    flat = graph.add("Reshape", [raw, graph.constant([-1], np.int64)])
    return graph.add("Sigmoid", [flat]) if link == "binary" else flat


def _boosted(graph: Graph, model: Any, blocks: Sequence[Block], problem: str) -> str:
    if model.is_categorical_ is not None and np.any(model.is_categorical_):
        raise NotExported("gradient boosting with categories of its own")
    if problem == "regression" and type(model._loss.link).__name__ != "IdentityLink":
        raise NotExported(f"gradient boosting with {type(model._loss.link).__name__}")
    trees = [(target, predictor.nodes) for stage in model._predictors for target, predictor in enumerate(stage)]
    ensemble = Trees()
    for target, nodes in trees:
        leaf = nodes["is_leaf"].astype(bool)
        ensemble.add(
            features=nodes["feature_idx"], thresholds=nodes["num_threshold"], left=nodes["left"], right=nodes["right"],
            missing_left=nodes["missing_go_to_left"].astype(bool), leaf=leaf, target=target, values=nodes["value"],
        )  # fmt: skip
    base = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1, -1)
    raw = ensemble.write(graph, graph.dense(blocks).tensor, base.shape[1], np.float64)
    return _linked(graph, graph.add("Add", [raw, graph.constant(base)]), problem)


def _forest(graph: Graph, model: Any, blocks: Sequence[Block], problem: str) -> str:
    trees = [tree.tree_ for tree in getattr(model, "estimators_", [model])]
    values = [_leaf_values(tree, problem) for tree in trees]
    # What all trees have in common is added as a double: their own sum is a float.
    base = np.mean([value[0] for value in values], axis=0)
    ensemble = Trees()
    for tree, value in zip(trees, values, strict=True):
        for target in range(value.shape[1]):
            ensemble.add(
                features=tree.feature, thresholds=_as_floats(tree.threshold), left=tree.children_left,
                right=tree.children_right, missing_left=np.asarray(tree.missing_go_to_left, dtype=bool),
                leaf=tree.children_left < 0, target=target, values=(value[:, target] - base[target]) / len(trees),
                same_tree=target > 0,
            )  # fmt: skip
    # scikit-learn's trees round their inputs to float before they compare.
    from onnx import TensorProto

    floats = graph.add("Cast", [graph.dense(blocks).tensor], to=TensorProto.FLOAT)
    raw = ensemble.write(graph, floats, len(base), np.float32)
    total = graph.add("Add", [raw, graph.constant(base[None, :])])
    return total if problem == "multiclass" else _linked(graph, total, "identity")


def _leaf_values(tree: Any, problem: str) -> np.ndarray:
    values = np.asarray(tree.value, dtype=np.float64)[:, 0, :]
    if problem == "regression":
        return values
    chances = values / values.sum(axis=1, keepdims=True)
    return np.asarray(chances[:, 1:2] if problem == "binary" else chances)


def _as_floats(thresholds: np.ndarray) -> np.ndarray:
    """The largest float that is no larger: a float is at most the one exactly when it is at most the other."""
    with np.errstate(over="ignore"):
        floats = thresholds.astype(np.float32)
    return np.where(floats > thresholds, np.nextafter(floats, np.float32(-np.inf)), floats)


class Trees:
    """An ensemble as the attributes of ONNX' `TreeEnsembleRegressor`."""

    def __init__(self) -> None:
        self._parts: dict[str, list[np.ndarray]] = {}
        self._modes: list[str] = []
        self._trees = 0

    def add(
        self,
        *,
        features: np.ndarray,
        thresholds: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
        missing_left: np.ndarray,
        leaf: np.ndarray,
        target: int,
        values: np.ndarray,
        same_tree: bool = False,
    ) -> None:
        """A tree by its nodes; `same_tree` adds another target to the leaves of the last one."""
        tree = self._trees - 1 if same_tree else self._trees
        nodes, leaves = np.arange(len(leaf)), np.flatnonzero(leaf)
        if not same_tree:
            self._trees += 1
            self._put("nodes_treeids", np.full(len(nodes), tree))
            self._put("nodes_nodeids", nodes)
            self._put("nodes_featureids", np.where(leaf, 0, features))
            self._put("nodes_values", np.where(leaf, 0.0, thresholds))
            self._put("nodes_truenodeids", np.where(leaf, 0, left))
            self._put("nodes_falsenodeids", np.where(leaf, 0, right))
            self._put("nodes_missing_value_tracks_true", np.where(leaf, False, missing_left))
            self._modes += ["LEAF" if last else "BRANCH_LEQ" for last in leaf]
        self._put("target_treeids", np.full(len(leaves), tree))
        self._put("target_nodeids", leaves)
        self._put("target_ids", np.full(len(leaves), target))
        self._put("target_weights", values[leaves])

    def write(self, graph: Graph, data: str, targets: int, kind: Any) -> str:
        """The sums of the trees' leaves, as doubles of shape (rows, targets)."""
        from onnx import numpy_helper

        attributes: dict[str, Any] = {"n_targets": targets, "nodes_modes": self._modes}
        for name, values in self._whole():
            if name not in ("nodes_values", "target_weights"):
                attributes[name] = values.astype(np.int64).tolist()
            elif kind is np.float64:
                attributes[f"{name}_as_tensor"] = numpy_helper.from_array(values.astype(np.float64))
            else:
                attributes[name] = values.astype(np.float32).tolist()
        return graph.doubles(graph.add("TreeEnsembleRegressor", [data], "ai.onnx.ml", **attributes))

    def _put(self, name: str, values: np.ndarray) -> None:
        self._parts.setdefault(name, []).append(np.asarray(values))

    def _whole(self) -> Iterator[tuple[str, np.ndarray]]:
        for name, parts in self._parts.items():
            yield name, np.concatenate(parts)


_KINDS: dict[str, Callable[[Graph, Any, Sequence[Block], str], str]] = {
    "LogisticRegression": _linear,
    "LinearRegression": _linear,
    "Ridge": _linear,
    "HistGradientBoostingClassifier": _boosted,
    "HistGradientBoostingRegressor": _boosted,
    **dict.fromkeys(
        ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor",
         "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor"), _forest,
    ),
}  # fmt: skip
