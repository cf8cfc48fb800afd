"""The report's pictures, as PNG bytes. Drawn without a display and without pyplot's global state."""

from __future__ import annotations

import io
import math

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from imago.exploration.figures import CategoricalColumn, Day, NumericColumn

INK, MUTED, GRID = "#22304a", "#7a869a", "#e6eaf0"
QUIET, LATE = "#4c78a8", "#e4703a"


def label_over_time(days: list[Day], label: str) -> bytes:
    """Mean label a day and over seven days, above the rows of each day."""
    figure = Figure(figsize=(10.5, 3.9), dpi=80)
    top, bottom = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1.1], "hspace": 0.12})
    x = np.arange(len(days))
    values = np.array([day.label for day in days])
    top.plot(x, values, color=QUIET, alpha=0.35, linewidth=1, label="a day")
    top.plot(x, _trailing_mean(values, 7), color=LATE, linewidth=2, label="7 days")
    top.set_ylabel(f"mean {label}", color=MUTED)
    top.legend(frameon=False, ncols=2, loc="upper right", fontsize=8)
    bottom.bar(x, [day.rows for day in days], color=QUIET, width=1.0)
    bottom.set_ylabel("rows", color=MUTED)
    step = max(1, len(days) // 9)
    bottom.set_xticks(x[::step], [days[n].ds for n in x[::step]], fontsize=8)
    for axes in (top, bottom):
        _plain(axes)
    figure.subplots_adjust(left=0.07, right=0.99, top=0.97, bottom=0.09)
    return _png(figure)


def numeric_grid(names: list[str], values: dict[str, np.ndarray], label: np.ndarray) -> bytes:
    """A histogram of each numeric feature from its 1st to its 99th percentile, split by a label of two values."""
    columns = 5
    rows = max(1, math.ceil(len(names) / columns))
    figure = Figure(figsize=(10.5, 1.75 * rows), dpi=80)
    grid = figure.subplots(rows, columns, squeeze=False)
    known = label[np.isfinite(label)]
    classes = np.unique(known)
    for axes, name in zip(grid.flat, names, strict=False):
        _histogram(axes, values[name], label, classes if classes.size == 2 else None)
        axes.set_title(name, fontsize=8, color=INK, loc="left")
        _plain(axes)
        axes.set_yticks([])
        axes.tick_params(labelsize=7)
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    figure.tight_layout(h_pad=0.8, w_pad=0.5)
    return _png(figure)


def _histogram(axes: object, values: np.ndarray, label: np.ndarray, classes: np.ndarray | None) -> None:
    finite = np.isfinite(values)
    if not finite.any():
        return
    low, high = np.percentile(values[finite], [1, 99])
    edges = np.linspace(low, high if high > low else low + 1, 31)
    parts = [(finite, QUIET)]
    if classes is not None:
        parts = [(finite & (label == classes[0]), QUIET), (finite & (label == classes[1]), LATE)]
    for mask, colour in parts:
        counts, _ = np.histogram(values[mask], bins=edges)
        share = counts / max(counts.sum(), 1)
        axes.stairs(share, edges, color=colour, fill=True, alpha=0.35)  # type: ignore[attr-defined]
        axes.stairs(share, edges, color=colour, linewidth=1)  # type: ignore[attr-defined]


def categories(columns: list[CategoricalColumn], label: str, overall: float) -> bytes:
    """For each categorical feature: rows of the most frequent values as bars, and their mean label as dots."""
    figure = Figure(figsize=(10.5, 2.7 * math.ceil(len(columns) / 3)), dpi=80)
    grid = figure.subplots(math.ceil(len(columns) / 3), 3, squeeze=False)
    for axes, column in zip(grid.flat, columns, strict=False):
        names = [value for value, _, _ in column.top][::-1]
        places = np.arange(len(names))
        axes.barh(places, [count for _, count, _ in column.top][::-1], color=QUIET, alpha=0.45, height=0.7)
        axes.set_yticks(places, [name[:18] for name in names], fontsize=8)
        more = f" ({len(column.top)} of {column.distinct})" if column.distinct > len(column.top) else ""
        axes.set_title(f"{column.name}{more}", fontsize=9, color=INK, loc="left")
        _plain(axes)
        axes.set_xticks([])
        rates = axes.twiny()
        rates.plot([rate for _, _, rate in column.top][::-1], places, "o", color=LATE, markersize=5)
        if math.isfinite(overall):
            rates.axvline(overall, color=LATE, linewidth=0.8, linestyle=":")
        rates.set_xlim(left=0)
        rates.tick_params(labelsize=7, colors=LATE)
        rates.xaxis.tick_bottom()
        for side in rates.spines.values():
            side.set_visible(False)
    for axes in list(grid.flat)[len(columns) :]:
        axes.set_visible(False)
    figure.supxlabel(f"bars: rows; dots: mean {label}; dotted line: all rows", fontsize=8, color=MUTED)
    figure.tight_layout(w_pad=1.2)
    return _png(figure)


def correlations(columns: list[NumericColumn], label: str) -> bytes:
    """The rank correlation of each numeric feature with the label, strongest first."""
    known = sorted((c for c in columns if math.isfinite(c.correlation)), key=lambda c: abs(c.correlation))
    figure = Figure(figsize=(10.5, 0.22 * max(len(known), 3) + 0.7), dpi=80)
    axes = figure.subplots()
    places = np.arange(len(known))
    values = [column.correlation for column in known]
    axes.barh(places, values, color=[LATE if value > 0 else QUIET for value in values], height=0.7)
    axes.set_yticks(places, [column.name for column in known], fontsize=8)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel(f"rank correlation with {label}", color=MUTED, fontsize=9)
    _plain(axes)
    figure.tight_layout()
    return _png(figure)


def _trailing_mean(values: np.ndarray, window: int) -> np.ndarray:
    return np.array([
        np.nanmean(part) if np.isfinite(part := values[max(0, n - window + 1) : n + 1]).any() else np.nan
        for n in range(values.size)
    ])  # fmt: skip


def _plain(axes: object) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)  # type: ignore[attr-defined]
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)  # type: ignore[attr-defined]
    axes.tick_params(colors=INK, length=0)  # type: ignore[attr-defined]
    axes.grid(axis="y", color=GRID, linewidth=0.6)  # type: ignore[attr-defined]
    axes.set_axisbelow(True)  # type: ignore[attr-defined]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
