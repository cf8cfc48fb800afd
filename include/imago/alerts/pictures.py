"""The picture of a distribution: how a column looked in training, and how it looks now. It holds shares, never rows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MOST_BARS = 24
_TEXT, _DIM, _LINE, _USUAL, _NOW = "#1b2330", "#677185", "#e3e7ee", "#aab6cb", "#d4423e"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Two sets of shares over the same bars. `numeric`: the bars are bins of a scale that `edges` bound (one more than
    bars), else categories with `labels`. `usual_name` and `now_name` are the legend's words."""

    title: str
    usual: tuple[float, ...]
    now: tuple[float, ...]
    labels: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    usual_name: str = "training"
    now_name: str = "now"

    @property
    def words(self) -> str:
        """The picture for whoever cannot see it."""
        moved = [now - usual for usual, now in zip(self.usual, self.now, strict=True)]
        most = max(range(len(moved)), key=lambda place: round(abs(moved[place]), 6))
        where = self.labels[most] if self.labels else f"{self.edges[most]:.4g} to {self.edges[most + 1]:.4g}"
        return (
            f"{self.title}: {self.now_name} against {self.usual_name}; the largest change is at {where}, "
            f"{self.usual[most]:.1%} to {self.now[most]:.1%}"
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> Picture | None:
        """The picture that an alert's body holds; None where it holds none."""
        if not stored:
            return None
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
        return cls(**values)


def of_counts(
    *,
    title: str,
    usual: Sequence[int],
    now: Sequence[int],
    edges: Sequence[float] = (),
    categories: Sequence[str] = (),
    usual_name: str = "training",
    now_name: str = "now",
) -> Picture | None:
    """The picture of two columns that were counted into the same bins: those of a profile, whose first and last bin are
    open. Many fine bins become few wide ones, rare categories become "others". None where one side is empty.
    """
    if not sum(usual) or not sum(now):
        return None
    names: dict[str, Any] = {"title": title, "usual_name": usual_name, "now_name": now_name}
    if categories:
        share = [a / sum(usual) + b / sum(now) for a, b in zip(usual, now, strict=True)]
        order = sorted(range(len(categories)), key=lambda place: (-round(share[place], 9), place))
        kept, rest = order[: MOST_BARS // 2 - 1], order[MOST_BARS // 2 - 1 :]
        labels = [categories[place] for place in kept] + (["others"] if rest else [])
        groups = [[place] for place in kept] + ([rest] if rest else [])
        bars = [tuple(sum(side[place] for place in group) / sum(side) for group in groups) for side in (usual, now)]
        return Picture(labels=tuple(labels), usual=bars[0], now=bars[1], **names)
    if len(edges) < 2:
        return None
    both = [a + b for a, b in zip(usual, now, strict=True)]
    low, high = _span(both, edges)
    wide = [low + (high - low) * step / MOST_BARS for step in range(MOST_BARS + 1)]
    return Picture(edges=tuple(wide), usual=_spread(usual, edges, wide), now=_spread(now, edges, wide), **names)


def _span(counts: Sequence[int], edges: Sequence[float]) -> tuple[float, float]:
    """The scale without its farthest thousandth on either side, which would squeeze the rest into one bar."""
    total, seen, low, high = sum(counts), 0, edges[0], edges[-1]
    for place, edge in enumerate(edges):
        seen += counts[place]
        if seen <= total * 0.001:
            low = edge
        if seen >= total * 0.999:
            high = edge
            break
    return (low, high) if high > low else (edges[0], edges[-1])


def _spread(counts: Sequence[int], edges: Sequence[float], wide: Sequence[float]) -> tuple[float, ...]:
    """Shares of the wide bins: each fine bin is spread evenly over what it overlaps, the open ones go to the ends."""
    shares = [0.0] * (len(wide) - 1)
    total = sum(counts)

    def put(value: float, share: float) -> None:
        width = (wide[-1] - wide[0]) / len(shares)
        shares[min(max(int((value - wide[0]) / width), 0), len(shares) - 1)] += share

    for place, count in enumerate(counts):
        if not count:
            continue
        if place in (0, len(counts) - 1):
            put(edges[0] if place == 0 else edges[-1], count / total)
            continue
        low, high = edges[place - 1], edges[place]
        pieces = 16
        for piece in range(pieces):
            put(low + (high - low) * (piece + 0.5) / pieces, count / total / pieces)
    return tuple(round(share, 5) for share in shares)


def png(picture: Picture) -> bytes:
    """The picture as a file, legible beside a message."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(6.4, 2.6), dpi=150, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    places = list(range(len(picture.usual)))
    if picture.labels:
        axes.bar([place - 0.2 for place in places], picture.usual, width=0.4, color=_USUAL, label=picture.usual_name)
        axes.bar([place + 0.2 for place in places], picture.now, width=0.4, color=_NOW, label=picture.now_name)
        # As text that means itself: a dollar sign would start a formula.
        axes.set_xticks(places, [label[:14].replace("$", r"\$") for label in picture.labels], fontsize=7)
    else:
        axes.stairs(picture.usual, picture.edges, fill=True, color=_USUAL, label=picture.usual_name)
        axes.stairs(picture.now, picture.edges, color=_NOW, linewidth=1.6, label=picture.now_name)
    axes.set_title(picture.title.replace("$", r"\$"), loc="left", fontsize=9, color=_TEXT, fontweight="bold")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.tick_params(colors=_DIM, labelsize=7, length=0)
    axes.grid(axis="y", color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_LINE)
    axes.legend(frameon=False, fontsize=7, labelcolor=_TEXT, loc="upper right")
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
