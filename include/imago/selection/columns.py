"""Causes that show in the feature columns: dead, stale, or without their join's rows. Pure.

Each is a comparison of the rows learned from with the holdout: what was always so is how the feature is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imago.selection.causes import Cause, Rows

LEAST_JUMP = 0.1  # of a share of days or rows
LEAST_ROWS = 5  # of a day, below which its values say nothing
SAME = 0.9  # of a day's values found again; outcomes that never came take some rows of either day away
SAME_ROWS = 0.8  # of what two columns miss
_SHOWN = 4
_PRIME = np.uint64(1099511628211)


def causes(fit: Rows, holdout: Rows, strength: Mapping[str, float]) -> list[Cause]:
    """What is dead, stale or lost; `strength` is how much a feature tells of the label, from 0 to 1."""
    lost, lost_columns = _lost_join(fit, holdout, strength)
    return [*lost, *_dead(fit, holdout, strength, lost_columns), *_stale(fit, holdout, strength)]


def by_day(days: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean of each day, in order of days."""
    _, place = np.unique(days, return_inverse=True)
    return np.asarray(np.bincount(place, weights=values.astype(float)) / np.bincount(place))


def missing(column: np.ndarray) -> np.ndarray:
    return np.asarray(column == "" if column.dtype == object else ~np.isfinite(column), dtype=bool)


def _lost_join(fit: Rows, holdout: Rows, strength: Mapping[str, float]) -> tuple[list[Cause], set[str]]:
    gone = {name: (missing(fit.columns[name]), missing(holdout.columns[name])) for name in fit.columns}
    rates = {name: (float(one.mean()), float(two.mean())) for name, (one, two) in gone.items()}
    jumped = [name for name, (before, after) in rates.items() if abs(after - before) >= LEAST_JUMP]
    # One column that is missing on whole days is dead; several that are missing in the same rows came by one join.
    masks = {name: gone[name][int(rates[name][1] > rates[name][0])] for name in jumped}
    joined = {name for name in jumped if any(_alike(masks[name], masks[other]) for other in jumped if other != name)}
    named = [name for name in jumped if name in joined or not _whole_days(fit, holdout, gone[name])]
    if not named:
        return [], set()
    named.sort(key=lambda name: -strength[name])
    before, after = rates[named[0]]
    together = len(named) > 1 and set(named) <= joined
    said = (
        f"{_names(named)} {'are' if len(named) > 1 else 'is'} missing in {before:.1%} of the rows learned from and in "
        f"{after:.1%} of the holdout{', mostly in the same rows' if together else ''}"
    )
    numbers = {"columns": named, "missing_learned": before, "missing_holdout": after}
    weight = max(abs(rates[name][1] - rates[name][0]) * strength[name] for name in named)
    return [Cause("lost_join", weight, said, numbers)], set(named)


def _alike(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two masks are mostly of the same rows; what was always missing here and there lies elsewhere."""
    return len(first) == len(second) and bool((first & second).sum() >= SAME_ROWS * (first | second).sum())


def _whole_days(fit: Rows, holdout: Rows, gone: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether the jump is mostly one of days without any value."""
    empty = [float((by_day(rows.days, mask) == 1).mean()) for rows, mask in zip((fit, holdout), gone, strict=True)]
    return abs(empty[1] - empty[0]) >= abs(gone[1].mean() - gone[0].mean()) / 2


def _dead(fit: Rows, holdout: Rows, strength: Mapping[str, float], lost: set[str]) -> list[Cause]:
    """A feature that holds one and the same value, or none, for days on end. Dry days have no rain and are no fault:
    a spell is told when it is more than twice as long as the longest one of the other part."""
    found = []
    for name in fit.columns:
        codes = np.unique(np.concatenate([fit.columns[name], holdout.columns[name]]), return_inverse=True)[1]
        (learned, of_learned), (judged, of_judged) = (
            _longest_spell(rows, part)
            for rows, part in ((fit, codes[: len(fit.days)]), (holdout, codes[len(fit.days) :]))
        )
        shorter, longer = sorted([learned, judged], key=len)
        if name not in lost and len(longer) > 2 * len(shorter) + 1:
            share = max(len(learned) / max(of_learned, 1), len(judged) / max(of_judged, 1))
            found.append((share * strength[name], name, (learned, of_learned), (judged, of_judged)))
    if not found:
        return []
    found.sort(key=lambda one: -one[0])
    weight, name, (learned, of_learned), (judged, of_judged) = found[0]
    rows, spell, total = (holdout, judged, of_judged) if len(judged) > len(learned) else (fit, learned, of_learned)
    value = rows.columns[name][rows.days == spell[0]][:1]
    holds = "no value" if missing(value)[0] else f"only the value {value[0]!s}"
    where, other, usual = (
        ("holdout", "days learned from", learned) if rows is holdout else ("days learned from", "holdout", judged)
    )
    others = f"; {_names([one[1] for one in found[1:]])} likewise" if len(found) > 1 else ""
    said = (
        f"{name} holds {holds} on {len(spell)} of {total} days of the {where} in a row, from {spell[0]} on, and for at "
        f"most {len(usual)} days in a row on the {other}{others}"
    )
    numbers = {
        "columns": [one[1] for one in found],
        "dead_days_holdout": len(judged),
        "dead_days_learned": len(learned),
        "first_dead_day": spell[0],
    }
    return [Cause("dead_feature", weight, said, numbers)]


def _longest_spell(rows: Rows, codes: np.ndarray) -> tuple[list[str], int]:
    """(the longest run of days on which all rows hold one and the same value, how many days have enough rows)"""
    longest: list[str] = []
    spell: list[str] = []
    held, total = None, 0
    for day, place in _days(rows):
        if len(place) < LEAST_ROWS:
            continue
        total += 1
        low, high = codes[place].min(), codes[place].max()
        spell = [*spell, day] if low == high == held else [day] if low == high else []
        held = low if low == high else None
        longest = max(longest, spell, key=len)
    return longest, total


def _stale(fit: Rows, holdout: Rows, strength: Mapping[str, float]) -> list[Cause]:
    """Days whose values are those of the day before: all columns of a row together, else single columns."""
    whole = [_repeats(rows, _row_ids(rows)) for rows in (fit, holdout)]
    if any(share >= LEAST_JUMP / 2 for _, share in whole):
        return [_stale_cause(["all features together"], whole, max(share for _, share in whole))]
    found = []
    for name in fit.columns:
        codes = [np.unique(rows.columns[name], return_inverse=True)[1].astype(np.uint64) for rows in (fit, holdout)]
        parts = [_repeats(rows, ids, varied=True) for rows, ids in zip((fit, holdout), codes, strict=True)]
        jump = abs(parts[1][1] - parts[0][1])
        if jump >= LEAST_JUMP:
            found.append((jump * strength[name], name, parts))
    if not found:
        return []
    found.sort(key=lambda one: -one[0])
    return [_stale_cause([one[1] for one in found], found[0][2], found[0][0])]


def _stale_cause(names: Sequence[str], parts: Sequence[tuple[list[str], float]], weight: float) -> Cause:
    (learned, before), (judged, after) = parts
    days = judged if after > before else learned
    said = (
        f"the values of {_names(names)} are those of the day before on {after:.0%} of the holdout's days and on "
        f"{before:.0%} of those learned from: {', '.join(days[:_SHOWN])}{', ...' if len(days) > _SHOWN else ''}"
    )
    numbers = {"columns": list(names), "stale_days_holdout": len(judged), "stale_days_learned": len(learned),
               "first_stale_day": days[0]}  # fmt: skip
    return Cause("stale_partition", weight, said, numbers)


def _repeats(rows: Rows, ids: np.ndarray, *, varied: bool = False) -> tuple[list[str], float]:
    """The days whose values are those of the day before, and their share. With `varied`, a day counts only when most
    of its values differ from each other: few values are alike on any two days."""
    repeated, total = [], 0
    before: tuple[np.ndarray, np.ndarray] | None = None
    for day, place in _days(rows):
        now = np.unique(ids[place], return_counts=True)
        tells = len(place) >= LEAST_ROWS and (not varied or len(now[0]) >= len(place) / 2)
        if tells and before is not None and len(now[0]) > 1:
            _, mine, theirs = np.intersect1d(now[0], before[0], assume_unique=True, return_indices=True)
            shared = int(np.minimum(now[1][mine], before[1][theirs]).sum())
            total += 1
            if shared >= SAME * min(now[1].sum(), before[1].sum()):
                repeated.append(day)
        before = now
    return repeated, len(repeated) / max(total, 1)


def _row_ids(rows: Rows) -> np.ndarray:
    """One number for all feature values of a row, keys left out."""
    ids = np.zeros(len(rows.days), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in rows.columns.values():
            codes = np.unique(column, return_inverse=True)[1].astype(np.uint64)
            ids = (ids ^ (codes + np.uint64(1))) * _PRIME
    return ids


def _days(rows: Rows) -> list[tuple[str, np.ndarray]]:
    """Each day with the places of its rows, in order."""
    order = np.argsort(rows.days, kind="stable")
    names, first = np.unique(rows.days[order], return_index=True)
    return list(zip((str(name) for name in names), np.split(order, first[1:]), strict=True))


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
