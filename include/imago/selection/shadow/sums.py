"""One day of a champion and one version in its shadow, as sums that add up over days. Pure.

One row for each slice and each pair of decisions (what the champion decided, what the shadow would have): its rows, its
scores, and what the difference is worth, first by what the two believe, later by the truth. A slice's flips are its
rows whose two decisions differ. A regression decides nothing: one row for each slice, both decisions empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imago import keys
from imago.answers import decisions_of, scores_in
from imago.errors import ImagoError
from imago.labels import truth_of
from imago.selection.shadow.parts import parts_of
from imago.selection.worth import worth
from imago.specs import ModelSpec

ALL = "all"
MISSING = "(missing)"
KEY = ("model_version", "slice", "champion_decision", "shadow_decision")

SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("ds", "model_version", "champion_version", *KEY[1:])),
        pa.field("rows", pa.int64()),
        # Of binary and regression one score a row, of multiclass one for each class.
        pa.field("scores", pa.int64()),
        *(
            pa.field(name, pa.float64())
            for name in ("champion_score", "shadow_score", "champion_square", "shadow_square", "product", "distance")
        ),
        # What the shadow's decisions are worth beyond the champion's at the spec's prices, if these are the chances.
        pa.field("expected_by_champion", pa.float64()),
        pa.field("expected_by_shadow", pa.float64()),
        # Rows whose outcome is known, how many of them each had right (regression: came closer), and their money.
        pa.field("matured", pa.int64()),
        pa.field("champion_right", pa.int64()),
        pa.field("shadow_right", pa.int64()),
        pa.field("champion_money", pa.float64()),
        pa.field("shadow_money", pa.float64()),
        # `parts.parts_of` the primary metric on the matured rows: the places of those that are not 0, and their values.
        # Of the slice `all` only.
        *(
            pa.field(f"{who}_{what}", pa.list_(kind))
            for who in ("champion", "shadow")
            for what, kind in (("places", pa.int32()), ("parts", pa.float64()))
        ),
    ]
)


@dataclass(frozen=True)
class Pair:
    """A day's rows as both saw them, in the order of their keys.

    Decisions are places in `answers.decisions_of`, 0 where there are none. `truth` is NaN where the outcome is not
    known. `slices` maps a column to each row's place among its values, and to these.
    """

    champion_scores: np.ndarray
    shadow_scores: np.ndarray
    champion_decisions: np.ndarray
    shadow_decisions: np.ndarray
    truth: np.ndarray
    slices: dict[str, tuple[np.ndarray, list[str]]]


def pair(
    spec: ModelSpec, champion: pa.Table, shadow: pa.Table, outcomes: pa.Table | None, features: pa.Table | None
) -> Pair:
    """Brings one day's stored rows together. `features` hold the key and the spec's slices.

    Raises ImagoError when the two predictions are not of the same keys.
    """
    order = [(name, "ascending") for name in spec.entity_keys]
    champion, shadow = champion.sort_by(order), shadow.sort_by(order)
    entities = champion.select(list(spec.entity_keys)).combine_chunks()
    if not shadow.select(list(spec.entity_keys)).combine_chunks().equals(entities):
        raise ImagoError(
            "the shadow has not scored the rows that the champion scored",
            model=spec.name,
            table="shadow_predictions",
            rule="the same keys",
            allowed=f"{entities.num_rows} keys",
            seen=f"{shadow.num_rows} keys",
            next_step="run batch_scoring, then shadow_scoring for that day",
        )
    return Pair(
        scores_in(spec, champion),
        scores_in(spec, shadow),
        _decisions(spec, champion),
        _decisions(spec, shadow),
        _truth(spec, entities, outcomes),
        _slices(spec, entities, features),
    )


def day_sums(spec: ModelSpec, ds: str, version: str, against: str, rows: Pair) -> pa.Table:
    """The sums of one day, as rows of the table `shadow_metrics`."""
    names = decisions_of(spec) or ("",)
    decided = rows.champion_decisions * len(names) + rows.shadow_decisions
    values = _row_values(spec, rows)
    cells = []
    for labels, places in _slicings(rows):
        cell = places * len(names) ** 2 + decided
        sums = {name: None if row is None else np.bincount(cell, weights=row) for name, row in values.items()}
        for number in np.unique(cell):
            part, pair_of = divmod(int(number), len(names) ** 2)
            before, after = divmod(pair_of, len(names))
            cells.append(
                {
                    "ds": ds,
                    "model_version": version,
                    "champion_version": against,
                    "slice": labels[part],
                    "champion_decision": names[before],
                    "shadow_decision": names[after],
                    **{name: _plain(name, sums[name], number) for name in sums},
                    **(_metric_parts(spec, rows, cell == number) if labels == [ALL] else {}),
                }
            )
    return pa.Table.from_pylist(cells, schema=SCHEMA)


def _row_values(spec: ModelSpec, rows: Pair) -> dict[str, np.ndarray | None]:
    """What is summed, for each row; None where the spec has no prices."""
    ours, theirs = rows.shadow_scores, rows.champion_scores
    flat = theirs.ndim == 1
    known = np.isfinite(rows.truth)

    def total(values: np.ndarray) -> np.ndarray:
        return values if flat else values.sum(axis=1)

    values: dict[str, np.ndarray | None] = {
        "rows": np.ones(len(known)),
        "scores": np.full(len(known), 1 if flat else theirs.shape[1]),
        "champion_score": total(theirs),
        "shadow_score": total(ours),
        "champion_square": total(theirs**2),
        "shadow_square": total(ours**2),
        "product": total(theirs * ours),
        # Of chances of classes, the share of chance that lies elsewhere.
        "distance": np.abs(ours - theirs) if flat else np.abs(ours - theirs).sum(axis=1) / 2,
        "matured": known,
        **_right(spec, rows, known),
        **dict.fromkeys(("expected_by_champion", "expected_by_shadow", "champion_money", "shadow_money")),
    }
    if spec.business is not None:
        called = {"champion": rows.champion_decisions == 1, "shadow": rows.shadow_decisions == 1}
        told = np.where(known, rows.truth, 0.0)
        for who, decided in called.items():
            values[f"{who}_money"] = np.where(known, worth(decided, told, spec.business), 0.0)
        for who, chance in (("champion", theirs), ("shadow", ours)):
            values[f"expected_by_{who}"] = _expected(spec, called["shadow"], chance) - _expected(
                spec, called["champion"], chance
            )
    return values


def _right(spec: ModelSpec, rows: Pair, known: np.ndarray) -> dict[str, np.ndarray]:
    if spec.problem == "regression":
        ours, theirs = np.abs(rows.shadow_scores - rows.truth), np.abs(rows.champion_scores - rows.truth)
        return {"champion_right": theirs < ours, "shadow_right": ours < theirs}  # where it is not known, neither
    return {
        "champion_right": known & (rows.champion_decisions == rows.truth),
        "shadow_right": known & (rows.shadow_decisions == rows.truth),
    }


def _expected(spec: ModelSpec, called: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """What each decision is worth on average, if `chance` is how likely the case is."""
    assert spec.business is not None
    there, absent = np.ones(len(chance)), np.zeros(len(chance))
    return np.asarray(
        chance * worth(called, there, spec.business) + (1 - chance) * worth(called, absent, spec.business)
    )


def _plain(name: str, sums: np.ndarray | None, number: int) -> int | float | None:
    if sums is None:
        return None
    # 12 digits, as in the table of metrics.
    return int(sums[number]) if SCHEMA.field(name).type == pa.int64() else float(f"{sums[number]:.12g}")


def _metric_parts(spec: ModelSpec, rows: Pair, chosen: np.ndarray) -> dict[str, Any]:
    known = chosen & np.isfinite(rows.truth)
    if not known.any():
        return {}
    made: dict[str, list[Any]] = {}
    for who, scores in (("champion", rows.champion_scores), ("shadow", rows.shadow_scores)):
        parts = parts_of(spec.primary_metric, rows.truth[known], scores[known])
        places = np.flatnonzero(parts)
        made[f"{who}_places"] = places.tolist()
        made[f"{who}_parts"] = [float(f"{one:.12g}") for one in parts[places]]
    return made


def _slicings(rows: Pair) -> Iterator[tuple[list[str], np.ndarray]]:
    """The names of slices, and each row's place among them: all rows, then each column of the spec's slices."""
    yield [ALL], np.zeros(len(rows.truth), dtype=int)
    for column, (places, values) in rows.slices.items():
        yield [f"{column}={value}" for value in values], places


def _decisions(spec: ModelSpec, rows: pa.Table) -> np.ndarray:
    names = decisions_of(spec)
    if not names:
        return np.zeros(rows.num_rows, dtype=int)
    return np.asarray(pc.index_in(rows.column("decision").cast(pa.string()), value_set=pa.array(names)), dtype=int)


def _truth(spec: ModelSpec, entities: pa.Table, outcomes: pa.Table | None) -> np.ndarray:
    truth = np.full(entities.num_rows, np.nan)
    if outcomes is None:
        return truth
    told = outcomes.filter(pc.is_valid(outcomes.column(spec.label)))
    places = keys.places(entities, told, spec.entity_keys)
    found = np.flatnonzero(np.asarray(places.is_valid()))
    truth[found] = truth_of(told.column(spec.label), spec)[np.asarray(places.drop_null())]
    return truth


def _slices(spec: ModelSpec, entities: pa.Table, features: pa.Table | None) -> dict[str, tuple[np.ndarray, list[str]]]:
    if features is None:
        return {}
    told = features.take(keys.places(entities, features, spec.entity_keys))
    found = {}
    for name in spec.slices:
        values = pc.fill_null(told.column(name).cast(pa.string()), MISSING).combine_chunks().dictionary_encode()
        found[name] = (np.asarray(values.indices, dtype=int), values.dictionary.to_pylist())
    return found
