"""One self-contained page about a training snapshot: what is in it, what is missing, and what goes with the label."""

from __future__ import annotations

import base64
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, select_autoescape

from imago.errors import ImagoError
from imago.exploration import figures, pictures
from imago.specs import ModelSpec

# Enough for a histogram of 30 bins; the tables are over all rows.
_DRAWN = 40_000
_MUCH_MISSING = 0.3
_SUSPICIOUS = 0.6


def explore(features: pa.Table, outcomes: pa.Table, spec: ModelSpec) -> str:
    """The report as HTML with its pictures inside. Equal inputs give an equal page.

    `features` and `outcomes` hold the entity key and `ds`; rows without an outcome count as unlabelled. Of
    several classes, the label is whether a row has the most frequent one.
    """
    if not features.num_rows:
        raise ImagoError("there are no rows to explore", model=spec.name, next_step="refresh features of these days")
    if spec.problem == "multiclass":
        outcomes, spec = figures.most_frequent_class(outcomes, spec)
    rows = figures.join(features, outcomes, spec)
    label = figures.labels_of(rows, spec)
    days = figures.by_day(rows, spec)
    names = {kind: [f.name for f in spec.features if f.kind == kind] for kind in ("numeric", "categorical")}
    numerics = [figures.numeric(rows, name, label) for name in names["numeric"]]
    categoricals = [figures.categorical(rows, name, spec) for name in names["categorical"]]
    overall = float(np.nanmean(label)) if np.isfinite(label).any() else float("nan")

    drawn = figures.sample(rows, _DRAWN, spec.training.seed)
    drawn_label = figures.labels_of(drawn, spec)
    values = {name: drawn.column(name).to_numpy() for name in names["numeric"]}
    classes = np.unique(label[np.isfinite(label)])
    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(default=True)
    ).get_template("report.html")
    return template.render(
        spec=spec,
        rows=rows.num_rows,
        days=days,
        overall=overall,
        unlabelled=float(1 - np.isfinite(label).mean()),
        remarks=remarks(numerics, categoricals, days),
        numerics=numerics,
        categoricals=categoricals,
        sampled=drawn.num_rows if drawn.num_rows < rows.num_rows else 0,
        split=[f"{value:g}" for value in classes] if classes.size == 2 else None,
        pictures={
            "label": _embedded(pictures.label_over_time(days, spec.label)),
            "correlation": _embedded(pictures.correlations(numerics, spec.label)),
            "numeric": _embedded(pictures.numeric_grid(names["numeric"], values, drawn_label)) if numerics else None,
            "categories": _embedded(pictures.categories(categoricals, spec.label, overall)) if categoricals else None,
        },
        number=_number,
        percent=_percent,
    )


def remarks(
    numerics: list[figures.NumericColumn], categoricals: list[figures.CategoricalColumn], days: list[figures.Day]
) -> list[str]:
    """What a reader should not overlook: suspicious, constant and mostly missing columns, missing and unusual days."""
    found = []
    for column in numerics:
        if abs(column.correlation) > _SUSPICIOUS:
            found.append(f"{column.name} correlates with the label at {column.correlation:.2f}: was it known in time?")
        if column.low == column.high:
            found.append(f"{column.name} is nearly constant ({_number(column.low)}).")
    missing = {column.name: column.missing for column in numerics} | {
        column.name: column.missing for column in categoricals
    }
    for name, share in missing.items():
        if share > _MUCH_MISSING:
            found.append(f"{name} is missing in {_percent(share)} of the rows.")
    known = [day for day in days if math.isfinite(day.label)]
    if known:
        worst = max(known, key=lambda day: (day.label, day.ds))
        found.append(f"The label was highest on {worst.ds}: {_number(worst.label)} over {worst.labelled:,} rows.")
    fewest = min(days, key=lambda day: (day.rows, day.ds))
    typical = float(np.median([day.rows for day in days]))
    if fewest.rows < 0.75 * typical:
        found.append(f"{fewest.ds} has the fewest rows: {fewest.rows:,}, where {typical:,.0f} are usual.")
    return found


def _embedded(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _percent(share: float) -> str:
    return "<0.1%" if 0 < share < 0.001 else f"{100 * share:.1f}%"
