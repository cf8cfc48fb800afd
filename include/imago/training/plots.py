"""The pictures of a model's run, as PNG bytes. Drawn without a display and without pyplot's global state."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from imago.measures import calibration_curve, decided
from imago.training.evaluation import metric
from imago.training.importance import Importance

COLOURS = ("#1f6feb", "#d1571d", "#2da44e", "#8250df", "#6e7781", "#a17c00", "#bf3989", "#116329")
MOST_CLASSES = 12  # that get a panel of their own, the most frequent ones
Scores = Mapping[str, np.ndarray]  # by contestant


@dataclass(frozen=True)
class Curve:
    """One kind of picture: `draw(axes, truth, scores)` puts a line for each contestant."""

    title: str
    x: str
    y: str
    draw: Callable[[Any, np.ndarray, Scores], None]


def pictures(problem: str, truth: np.ndarray, scores: Scores, classes: Sequence[str] = ()) -> dict[str, bytes]:
    """File name to PNG, for the named contestants on the holdout: ROC, precision-recall, calibration and gain of a
    binary label, or of each of several `classes` against all others, which also have a confusion matrix; calibration,
    predicted against true, and residuals of a number."""
    if problem == "regression":
        return {
            "calibration.png": _drawn(NUMBERS, [("", truth, scores)]),
            "predicted_vs_true.png": predicted(truth, scores),
            "residuals.png": residuals(truth, scores),
        }
    if problem == "binary":
        return {name: _drawn(curve, [("", truth, scores)]) for name, curve in CURVES.items()}
    panels = one_against_all(truth, scores, classes)
    made = {name: _drawn(curve, panels) for name, curve in CURVES.items()}
    return {"confusion_matrix.png": confusion(truth, scores, classes), **made}


def one_against_all(truth: np.ndarray, scores: Scores, classes: Sequence[str]) -> list[tuple[str, np.ndarray, Scores]]:
    """Each class as a 0/1 label of its own: (class, truth, scores). Without classes that no row, or every row, has."""
    rows = np.bincount(truth.astype(int), minlength=len(classes))
    shown = sorted(np.argsort(-rows, kind="stable")[:MOST_CLASSES])
    return [
        (classes[place], (truth == place).astype(float), {name: values[:, place] for name, values in scores.items()})
        for place in shown
        if 0 < rows[place] < len(truth)
    ]


def _drawn(curve: Curve, panels: Sequence[tuple[str, np.ndarray, Scores]]) -> bytes:
    """One panel, or one for each class."""
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(5.0 * across, 4.6 * down), layout="constrained")
    drawn = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (name, truth, scores) in zip(drawn, panels, strict=False):
        _titled(axes, f"{curve.title}{f': {name} against all others' if name else ''}", curve.x, curve.y)
        curve.draw(axes, truth, scores)
    for axes in drawn[len(panels) :]:
        axes.set_visible(False)
    return _png(figure)


def _roc(axes: Any, truth: np.ndarray, scores: Scores) -> None:
    axes.plot([0, 1], [0, 1], color="#8c959f", linewidth=0.8, linestyle=":")
    for colour, (name, values) in zip(_colours(scores), scores.items(), strict=True):
        x, y, _ = roc_curve(truth, values)
        axes.plot(*_thin(x, y), color=colour, linewidth=1.6, label=f"{name}  {metric('roc_auc', truth, values):.3f}")
    axes.legend(loc="lower right", fontsize=8, frameon=False, title="AUC", title_fontsize=8)


def _precision_recall(axes: Any, truth: np.ndarray, scores: Scores) -> None:
    axes.axhline(float(np.mean(truth)), color="#8c959f", linewidth=0.8, linestyle=":")
    for colour, (name, values) in zip(_colours(scores), scores.items(), strict=True):
        precision, recall, _ = precision_recall_curve(truth, values)
        area = metric("average_precision", truth, values)
        # Steps, without the last point that the library adds: a rule that scores all rows alike is then flat, as it is.
        axes.plot(
            *_thin(recall[:-1], precision[:-1]),
            drawstyle="steps-post",
            color=colour,
            linewidth=1.6,
            label=f"{name}  {area:.3f}",
        )
    axes.legend(loc="upper right", fontsize=8, frameon=False, title="average precision", title_fontsize=8)


def _calibration(axes: Any, truth: np.ndarray, scores: Scores) -> None:
    largest = _promises(axes, truth, scores)[1]
    axes.plot([0, largest], [0, largest], color="#8c959f", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, max(largest, 0.05) * 1.05)
    axes.set_ylim(0, max(largest, 0.05) * 1.05)


def _calibration_of_numbers(axes: Any, truth: np.ndarray, scores: Scores) -> None:
    low, high = _promises(axes, truth, scores)
    axes.plot([low, high], [low, high], color="#8c959f", linewidth=0.8, linestyle=":")


def _promises(axes: Any, truth: np.ndarray, scores: Scores) -> tuple[float, float]:
    """Draws the means of ten groups of equal size; the smallest and the largest of them."""
    seen = []
    for colour, (name, values) in zip(_colours(scores), scores.items(), strict=True):
        _, promised, observed, _ = calibration_curve(truth, values)
        axes.plot(promised, observed, color=colour, linewidth=1.4, marker="o", markersize=3.5, label=name)
        seen += [*promised, *observed]
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    return float(min(seen)), float(max(seen))


def _gain(axes: Any, truth: np.ndarray, scores: Scores) -> None:
    """Cumulative gains: of all positives, the share among the highest scores. Rows of one score come together."""
    rate = float(np.mean(truth))
    axes.plot([0, rate, 1], [0, 1, 1], color="#8c959f", linewidth=0.8, linestyle="--", label="perfect")
    axes.plot([0, 1], [0, 1], color="#8c959f", linewidth=0.8, linestyle=":")
    for colour, (name, values) in zip(_colours(scores), scores.items(), strict=True):
        x, y = gains(truth, values)
        found = float(np.interp(0.1, x, y))
        axes.plot(*_thin(x, y), color=colour, linewidth=1.6, label=f"{name}  {found:.0%}")
    axes.legend(loc="lower right", fontsize=8, frameon=False, title="found in the first 10%", title_fontsize=8)


CURVES = {
    "roc.png": Curve("ROC on the holdout", "false positive rate", "true positive rate", _roc),
    "precision_recall.png": Curve("Precision and recall on the holdout", "recall", "precision", _precision_recall),
    "calibration.png": Curve("Calibration on the holdout", "promised share", "observed share", _calibration),
    "gain.png": Curve("Gain on the holdout", "share of rows, highest scores first", "share of positives found", _gain),
}
NUMBERS = Curve("Calibration on the holdout", "mean predicted", "mean true", _calibration_of_numbers)


def gains(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(share of rows, share of positives among them) after each score from the highest down, beginning at 0."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    found = np.cumsum(truth[order])[last]
    return np.append(0.0, (last + 1) / len(order)), np.append(0.0, found / found[-1])


def confusion(truth: np.ndarray, scores: Scores, classes: Sequence[str]) -> bytes:
    """One matrix a contestant: of the rows of each true class (a line), the share that was told each class."""
    side = 1.3 + 0.55 * len(classes)
    across = min(3, len(scores))
    down = -(-len(scores) // across)
    figure = Figure(figsize=(side * across, (side + 0.2) * down), layout="constrained")
    drawn = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (name, values) in zip(drawn, scores.items(), strict=False):
        counts = confusion_matrix(truth, values, len(classes))
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for line, column in np.ndindex(*counts.shape):
            axes.text(column, line, f"{shares[line, column]:.0%}\n{counts[line, column]:,}", ha="center", va="center",
                      fontsize=7, color="white" if shares[line, column] > 0.6 else "#1f2328")  # fmt: skip
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_xticks(range(len(classes)), classes, fontsize=8, rotation=45, ha="right")
        axes.set_yticks(range(len(classes)), classes, fontsize=8)
        axes.set_xlabel("told", fontsize=8)
        axes.set_ylabel("true", fontsize=8)
    for axes in drawn[len(scores) :]:
        axes.set_visible(False)
    return _png(figure)


def confusion_matrix(truth: np.ndarray, scores: np.ndarray, classes: int) -> np.ndarray:
    """Rows by true class (line) and told class (column)."""
    places = truth.astype(int) * classes + decided(scores)
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def predicted(truth: np.ndarray, scores: Scores) -> bytes:
    figure, axes = _square("Predicted and true on the holdout", "true", "predicted")
    low, high = float(truth.min()), float(truth.max())
    axes.plot([low, high], [low, high], color="#8c959f", linewidth=0.8, linestyle=":")
    shown = _some(len(truth))
    for colour, (name, values) in zip(_colours(scores), scores.items(), strict=True):
        label = f"{name}  {metric('rmse', truth, values):.4g}"
        axes.scatter(truth[shown], values[shown], s=4, color=colour, alpha=0.35, linewidths=0, label=label)
    axes.legend(fontsize=8, frameon=False, title="RMSE", title_fontsize=8, markerscale=2)
    return _png(figure)


def residuals(truth: np.ndarray, scores: Scores) -> bytes:
    """Predicted minus true over the predicted value: a model that is wrong in one direction leaves the line."""
    figure, axes = _square("Residuals on the holdout", "predicted", "predicted minus true")
    axes.axhline(0, color="#8c959f", linewidth=0.8, linestyle=":")
    shown = _some(len(truth))
    for colour, (name, values) in zip(_colours(scores), scores.items(), strict=True):
        error = values - truth
        label = f"{name}  {error.mean():+.3g}"
        axes.scatter(values[shown], error[shown], s=4, color=colour, alpha=0.35, linewidths=0, label=label)
    axes.legend(fontsize=8, frameon=False, title="mean residual", title_fontsize=8, markerscale=2)
    return _png(figure)


def importance(found: Importance, most: int = 25) -> bytes:
    """The features that cost most when they are shuffled, as bars with the spread of the repeats."""
    ranked = sorted(found.mean, key=lambda name: -found.mean[name])[:most]
    figure = Figure(figsize=(6.4, 1.0 + 0.24 * len(ranked)), layout="constrained")
    axes = figure.add_subplot()
    values, spread = [found.mean[name] for name in ranked], [found.std[name] for name in ranked]
    axes.barh(ranked, values, xerr=spread, color=COLOURS[0], ecolor="#8c959f", height=0.7)
    axes.invert_yaxis()
    axes.set_title(f"What {found.metric} loses when a feature is shuffled", fontsize=10, loc="left")
    axes.set_xlabel(f"{found.rows:,} rows of {found.days}, {found.repeats} times", fontsize=9)
    _plain(axes)
    return _png(figure)


def _square(title: str, x: str, y: str):
    figure = Figure(figsize=(5.2, 4.6))
    axes = figure.add_axes((0.12, 0.11, 0.84, 0.8))
    _titled(axes, title, x, y)
    return figure, axes


def _titled(axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    _plain(axes)


def _plain(axes) -> None:
    axes.tick_params(labelsize=8)
    axes.grid(color="#d0d7de", linewidth=0.5, alpha=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _colours(scores: Scores) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(len(scores))]


def _some(rows: int, most: int = 4000) -> slice:
    return slice(None, None, max(1, -(-rows // most)))


def _thin(x: np.ndarray, y: np.ndarray, points: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Few enough points to draw quickly; the ends stay."""
    if len(x) <= points:
        return x, y
    places = np.unique(np.linspace(0, len(x) - 1, points).astype(int))
    return x[places], y[places]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
