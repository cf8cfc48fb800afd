"""What the days of one shadow tell, as plain JSON: which decisions flip, where, for how much, and who was right. Pure.

Before an outcome is known there are two opinions of what the flips are worth: the champion's scores and the shadow's,
each taken for the chances. Afterwards there is the truth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from imago.amounts import amount as money
from imago.selection.bootstrap import RESAMPLES, expanded_tail
from imago.selection.shadow.choice import by_number
from imago.selection.shadow.parts import finish, width
from imago.selection.shadow.sums import ALL
from imago.selection.terms import Difference
from imago.selection.units import LEAST_UNITS, Units
from imago.selection.words import metric_words
from imago.selection.worth import difference
from imago.specs import ModelSpec

Row = Mapping[str, Any]
CONFIDENCE = 0.975  # at each end, so that both bounds together are the usual 95% interval
CHUNKS = 16  # in which draws are added up, so that a day's many bins never fill the memory


def tell(spec: ModelSpec, rows: Iterable[Row]) -> dict[str, Any] | None:
    """What the rows of `shadow_metrics` of one version tell, whatever days they are of; None without rows."""
    kept = list(rows)
    whole = [row for row in kept if row["slice"] == ALL]
    if not whole:
        return None
    by_day = _grouped(whole, lambda row: row["ds"])
    known = {ds for ds, cells in by_day.items() if _total(cells, "matured")}
    days = [_day(spec, ds, cells) for ds, cells in sorted(by_day.items())]
    told = {
        "problem": spec.problem,
        "unit": spec.business.unit if spec.business else "",
        "money_name": spec.business.name if spec.business else "",
        "against": sorted({row["champion_version"] for row in whole}, key=by_number),
        "first": days[0]["ds"],
        "last": days[-1]["ds"],
        "days": len(days),
        "rows": _total(whole, "rows"),
        "days_known": len(known),
        "known": _total(whole, "matured"),
        "scores": _scores(spec, whole),
        "flips": _flips(spec, kept, whole),
        "pending": _expected(row for row in whole if row["ds"] not in known),
        "expected": _expected(whole),
        "money": _money(spec, [one for one in days if one["known"]]),
        "metric": _metric(spec, {ds: cells for ds, cells in by_day.items() if ds in known}),
        "right": {"shadow": _total(whole, "shadow_right"), "champion": _total(whole, "champion_right")},
        "by_day": days,
    }
    return {**told, **_verdict(spec, told)}


def _day(spec: ModelSpec, ds: str, cells: list[Row]) -> dict[str, Any]:
    flips = [row for row in cells if _flipped(row)]
    judged = cells if spec.problem == "regression" else flips
    known = _total(cells, "matured")
    priced = spec.business is not None
    return {
        "ds": ds,
        "against": cells[0]["champion_version"],
        "rows": _total(cells, "rows"),
        "flips": _total(flips, "rows"),
        "known": known,
        "shadow_right": _total(judged, "shadow_right"),
        "champion_right": _total(judged, "champion_right"),
        "money": _gain(cells) if priced and known else None,
        **{f"by_{who}": value for who, value in (_expected(cells) or {}).items()},
    }


def _scores(spec: ModelSpec, cells: list[Row]) -> dict[str, float | None]:
    """How far the two lie apart: `apart` is the mean distance of a row's two predictions (of chances of classes, the
    share of chance that lies elsewhere); `mean_difference` is 0 by nature for chances that sum to 1, so not told."""
    count, rows = _total(cells, "scores"), _total(cells, "rows")
    ours, theirs = _total(cells, "shadow_score"), _total(cells, "champion_score")
    spread = [
        _total(cells, f"{who}_square") - total**2 / count for who, total in (("shadow", ours), ("champion", theirs))
    ]
    together = _total(cells, "product") - ours * theirs / count
    varies = min(spread) > 1e-9 * max(_total(cells, "shadow_square"), _total(cells, "champion_square"), 1e-300)
    return {
        "correlation": float(np.clip(together / (spread[0] * spread[1]) ** 0.5, -1, 1)) if varies else None,
        "mean_difference": None if spec.problem == "multiclass" else (ours - theirs) / count,
        "apart": _total(cells, "distance") / rows,
    }


def _flips(spec: ModelSpec, rows: list[Row], whole: list[Row]) -> dict[str, Any] | None:
    if spec.problem == "regression":
        return None
    flips = [row for row in whole if _flipped(row)]
    directions = [
        {"before": before, "after": after, "words": _direction(spec, before, after), **_counted(spec, cells)}
        for (before, after), cells in _grouped(
            flips, lambda row: (row["champion_decision"], row["shadow_decision"])
        ).items()
    ]
    where = []
    for name, cells in _grouped([row for row in rows if row["slice"] != ALL], lambda row: row["slice"]).items():
        changed = [row for row in cells if _flipped(row)]
        if changed:
            where.append({"slice": name, "of": _total(cells, "rows"), **_counted(spec, changed)})
    return {
        "of": _total(whole, "rows"),
        **_counted(spec, flips),
        "directions": sorted(directions, key=lambda one: (-one["rows"], one["words"])),
        "where": sorted(where, key=lambda one: (-one["rows"], one["slice"])),
    }


def _counted(spec: ModelSpec, cells: list[Row]) -> dict[str, Any]:
    known = _total(cells, "matured")
    return {
        "rows": _total(cells, "rows"),
        "known": known,
        "shadow_right": _total(cells, "shadow_right"),
        "champion_right": _total(cells, "champion_right"),
        "money": _gain(cells) if spec.business is not None and known else None,
        "expected": _expected(cells),
    }


def _direction(spec: ModelSpec, before: str, after: str) -> str:
    if spec.problem == "binary":
        return "called, and was not" if after == "true" else "no longer called"
    return f"told {after} instead of {before}"


def _expected(cells: Iterable[Row]) -> dict[str, float] | None:
    """What the shadow's decisions are worth beyond the champion's, by either's scores; None without prices or rows."""
    kept = list(cells)
    if not kept or kept[0]["expected_by_shadow"] is None:
        return None
    return {who: _total(kept, f"expected_by_{who}") for who in ("champion", "shadow")}


def _money(spec: ModelSpec, days: list[dict[str, Any]]) -> dict[str, float | None] | None:
    """What the shadow's decisions would have been worth beyond the champion's, on the days whose outcome is known."""
    if spec.business is None or not days:
        return None
    names, gains = np.array([one["ds"] for one in days]), np.array([one["money"] for one in days])
    return _gap(difference(_units(spec, names), gains, seed=spec.training.seed, confidence=CONFIDENCE))


def _metric(spec: ModelSpec, by_day: Mapping[str, list[Row]]) -> dict[str, Any] | None:
    """The primary metric of both on the same rows, those whose outcome is known. Above 0, the shadow is better."""
    if not by_day:
        return None
    sides = {who: np.stack([_parts(spec, by_day[ds], who) for ds in sorted(by_day)]) for who in ("champion", "shadow")}
    values = {who: float(finish(spec.primary_metric, parts.sum(axis=0))) for who, parts in sides.items()}
    name, meaning = metric_words(spec.primary_metric)
    sign = -1.0 if spec.lower_is_better else 1.0
    gap = Difference(None, None, None)
    if np.isfinite(list(values.values())).all():
        gap = _bounds(spec, sign * (values["shadow"] - values["champion"]), sides, sign)
    return {
        "name": name,
        "meaning": meaning,
        "worth_it": spec.smallest_effect,
        **{who: value if np.isfinite(value) else None for who, value in values.items()},
        **_gap(gap),
    }


def _bounds(spec: ModelSpec, estimate: float, sides: Mapping[str, np.ndarray], sign: float) -> Difference:
    """The same days are drawn for both, so what is hard for both cancels out; a draw that defines no metric counts
    against whatever is claimed."""
    units = _units(spec, np.arange(len(sides["champion"])))
    if units.fault:
        return Difference(estimate, None, None)
    draws = units.drawn_days(spec.training.seed, RESAMPLES)
    drawn = {
        who: np.concatenate([finish(spec.primary_metric, some @ parts) for some in np.array_split(draws, CHUNKS)])
        for who, parts in sides.items()
    }
    spread = sign * (drawn["shadow"] - drawn["champion"])
    tail = expanded_tail(1 - CONFIDENCE, units.blocks)
    low = float(np.quantile(np.where(np.isfinite(spread), spread, -np.inf), tail, method="lower"))
    high = float(np.quantile(np.where(np.isfinite(spread), spread, np.inf), 1 - tail, method="higher"))
    if not np.isfinite([low, high]).all():
        return Difference(estimate, None, None)
    return Difference(estimate, low, high)


def _units(spec: ModelSpec, days: np.ndarray) -> Units:
    """A shadow's rows are sums of days, so days are all that can be drawn of them."""
    return Units(days, horizon=max(1, spec.label_delay_days), by="days")


def _parts(spec: ModelSpec, cells: list[Row], who: str) -> np.ndarray:
    parts = np.zeros(width(spec.primary_metric, len(spec.classes)))
    for row in cells:
        if row["matured"]:
            parts[row[f"{who}_places"]] += row[f"{who}_parts"]
    return parts


def _verdict(spec: ModelSpec, told: Mapping[str, Any]) -> dict[str, str]:
    """In a word and in one sentence."""
    said = _flips_said(told) if told["flips"] is not None else _numbers_said(told)
    gap = told["money"] or told["metric"]
    if gap is None or gap["estimate"] is None:
        word = "no outcome is known yet" if not told["known"] else "too few rows to tell"
    elif gap["low"] is None or gap["high"] is None:
        word = f"too few days to tell, {LEAST_UNITS} at least"
    else:
        word = "surely better" if gap["low"] > 0 else "surely worse" if gap["high"] < 0 else "may be chance"
    tone = {"surely better": "passed", "surely worse": "refused"}.get(word, "calm")
    return {"sentence": f"{said}.", "verdict": word, "tone": tone}


def _flips_said(told: Mapping[str, Any]) -> str:
    flips, rows = told["flips"], told["rows"]
    if not flips["rows"]:
        return f"It decided all {rows:,} rows as the champion did"
    said = f"It would have decided {flips['rows']:,} of {rows:,} rows differently ({flips['rows'] / rows:.1%})"
    if not flips["known"]:
        return f"{said}; none of these outcomes is known yet"
    said += (
        f". Of the {flips['known']:,} whose outcome is known, it was right on {flips['shadow_right']:,} and the "
        f"champion on {flips['champion_right']:,}"
    )
    if told["money"] is None:
        return said
    side = "more" if told["money"]["estimate"] >= 0 else "less"
    amount = money(abs(told["money"]["estimate"]), told["unit"])
    return f"{said}: {amount} {side} than the champion's decisions were worth"


def _numbers_said(told: Mapping[str, Any]) -> str:
    apart = f"{told['scores']['apart']:.4g}"
    said = f"Its predictions lie {apart} from the champion's on average, over {told['rows']:,} rows"
    if not told["known"]:
        return f"{said}; no outcome is known yet"
    return (
        f"{said}. Of the {told['known']:,} whose outcome is known, it came closer on {told['right']['shadow']:,} and "
        f"the champion on {told['right']['champion']:,}"
    )


def _gap(gap: Difference) -> dict[str, float | None]:
    return {"estimate": gap.estimate, "low": gap.low, "high": gap.high}


def _gain(cells: Iterable[Row]) -> float:
    return float(sum(row["shadow_money"] - row["champion_money"] for row in cells))


def _flipped(row: Row) -> bool:
    return bool(row["champion_decision"] != row["shadow_decision"])


def _total(cells: Iterable[Row], name: str) -> Any:
    return sum(row[name] for row in cells)


def _grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return dict(found)
