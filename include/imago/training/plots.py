"""The pictures of a model's run, as PNG bytes. Drawn without a display and without pyplot's global state."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from imago.training.evaluation import calibration_curve, metric

COLOURS = ("#1f6feb", "#d1571d", "#2da44e", "#8250df", "#6e7781", "#a17c00", "#bf3989", "#116329")


def pictures(problem: str, truth: np.ndarray, scores: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """File name to PNG, with one line per named contestant: ROC, precision-recall and calibration for a binary label,
    predicted against seen for a number."""
    if problem != "binary":
        return {"predicted_vs_seen.png": _predicted(truth, scores)}
    return {"roc.png": roc(truth, scores), "precision_recall.png": precision_recall(truth, scores),
            "calibration.png": calibration(truth, scores)}  # fmt: skip


def roc(truth: np.ndarray, scores: Mapping[str, np.ndarray]) -> bytes:
    figure, axes = _square("ROC on the holdout", "false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color="#8c959f", linewidth=0.8, linestyle=":")
    for colour, (name, values) in zip(_colours(scores), scores.items(), strict=True):
        x, y, _ = roc_curve(truth, values)
        axes.plot(*_thin(x, y), color=colour, linewidth=1.6, label=f"{name}  {metric('roc_auc', truth, values):.3f}")
    axes.legend(loc="lower right", fontsize=8, frameon=False, title="AUC", title_fontsize=8)
    return _png(figure)


def precision_recall(truth: np.ndarray, scores: Mapping[str, np.ndarray]) -> bytes:
    figure, axes = _square("Precision and recall on the holdout", "recall", "precision")
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
    return _png(figure)


def calibration(truth: np.ndarray, scores: Mapping[str, np.ndarray]) -> bytes:
    figure, axes = _square("Calibration on the holdout", "promised share", "observed share")
    largest = 0.05
    for colour, (name, values) in zip(_colours(scores), scores.items(), strict=True):
        _, promised, observed, _ = calibration_curve(truth, values)
        axes.plot(promised, observed, color=colour, linewidth=1.4, marker="o", markersize=3.5, label=name)
        largest = max(largest, float(promised.max()), float(observed.max()))
    axes.plot([0, largest], [0, largest], color="#8c959f", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, largest * 1.05)
    axes.set_ylim(0, largest * 1.05)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    return _png(figure)


def standings(
    metric_name: str, estimates: Mapping[str, float], spans: Mapping[str, tuple[float, float]], roles: Mapping[str, str]
) -> bytes:
    """The contestants' metric with its interval, best at the top: the picture of the fair fight."""
    tint = {"champion": "#d4a72c", "candidate": "#1f6feb", "baseline": "#8c959f"}
    figure = Figure(figsize=(7.2, 0.9 + 0.38 * len(estimates)), layout="constrained")
    axes = figure.add_subplot()
    for place, (name, value) in enumerate(estimates.items()):
        low, high = spans.get(name, (value, value))
        axes.plot([low, high], [place, place], color=tint[roles[name]], linewidth=3, solid_capstyle="round", alpha=0.55)
        axes.plot([value], [place], marker="o", color=tint[roles[name]])
        axes.annotate(f"{value:.3f}", (high, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(estimates)), list(estimates), fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel(f"{metric_name} on the holdout, with its 95% interval", fontsize=9)
    axes.margins(x=0.12, y=0.12)
    _plain(axes)
    return _png(figure)


def _predicted(truth: np.ndarray, scores: Mapping[str, np.ndarray]) -> bytes:
    figure, axes = _square("Predicted and seen on the holdout", "seen", "predicted")
    step = max(1, len(truth) // 4000)
    for colour, (name, values) in zip(_colours(scores), scores.items(), strict=True):
        axes.scatter(truth[::step], values[::step], s=3, color=colour, alpha=0.4, label=name)
    axes.legend(fontsize=8, frameon=False)
    return _png(figure)


def _square(title: str, x: str, y: str):
    figure = Figure(figsize=(5.2, 4.6))
    axes = figure.add_axes((0.12, 0.11, 0.84, 0.8))
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    _plain(axes)
    return figure, axes


def _plain(axes) -> None:
    axes.tick_params(labelsize=8)
    axes.grid(color="#d0d7de", linewidth=0.5, alpha=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _colours(scores: Mapping[str, np.ndarray]) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(len(scores))]


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
