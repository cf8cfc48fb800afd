"""Why no candidate beat the baselines: the usual causes, each looked for in the frozen rows, with its numbers.

A cause is named when its figure is large, not merely significant, and is ranked by its `weight`: how much of what the
features knew it takes away (the share of rows or days that it touches, times how much the touched features tell of the
label beside the one that tells most), or, where it is about the label, how far the label moved. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr

from imago.selection import columns as of_columns
from imago.selection.association import Association, Groups, associations, expected, targets_of
from imago.selection.causes import Cause, Rows
from imago.selection.terms import Difference

# A weaker cause is not worth a person's first look.
LEAST_WEIGHT = 0.05
# Cohen 1988: 0.2 is a small effect, 0.5 a medium one. Between the two a shift begins to show in any picture.
LEAST_EFFECT = 0.3
SURE = 5.0  # standard errors, over days
CHANCE = 0.001  # of calling a label explained by any feature when it is not


def diagnose(
    fit: Rows, holdout: Rows, *, problem: str, metric: str, smallest_effect: float, lead: Difference | None
) -> list[Cause]:
    """The likely causes of a blocked release, the likeliest first; empty when none of the usual ones is there.

    `fit` are the rows that the contestants learned from; `lead` is the best candidate's difference to the best
    baseline on the holdout.
    """
    classes = None if problem == "regression" else np.unique(np.concatenate([fit.truth, holdout.truth]))
    looked_at = classes if problem == "multiclass" else None
    learned, judged = targets_of(fit.truth, looked_at), targets_of(holdout.truth, looked_at)
    told = {"fit": associations(fit.columns, learned), "holdout": associations(holdout.columns, judged)}
    strength = _strength(told)
    found = [
        *of_columns.causes(fit, holdout, strength),
        *_label_shift(fit, holdout, classes),
        *_few(holdout, problem, metric, smallest_effect, lead),
        *_no_signal(told),
    ]
    named = [cause for cause in found if cause.weight >= LEAST_WEIGHT]
    if not named:
        named = _broken_relation(fit, holdout, learned, judged, told["fit"])
    return sorted(named, key=lambda cause: -cause.weight)


def _strength(told: Mapping[str, Mapping[str, Association]]) -> dict[str, float]:
    """How much each feature tells of the label where it tells more, beside the one that tells most: 0 to 1."""
    most = {name: max(part[name].share for part in told.values()) for name in told["fit"]}
    best = max(most.values(), default=0.0)
    return {name: share / best if best else 0.0 for name, share in most.items()}


def _label_shift(fit: Rows, holdout: Rows, classes: np.ndarray | None) -> list[Cause]:
    if classes is None:
        spread = float(np.std(fit.truth.astype(float)))
        before, after, z = _moved(fit, holdout, fit.truth.astype(float), holdout.truth.astype(float))
        effect = abs(after - before) / spread if spread else np.inf * abs(after - before)
        if not (effect >= LEAST_EFFECT and abs(z) >= SURE):
            return []
        said = (
            f"the mean label is {before:.4g} on the rows learned from and {after:.4g} on the holdout, "
            f"{effect:.1f} standard deviations apart (z {z:+.1f} over days)"
        )
        return [Cause("label_shift", float(2 * ndtr(effect / 2) - 1), said,
                      {"mean_learned": before, "mean_holdout": after, "z": z})]  # fmt: skip
    shares = []
    for one in classes:
        before, after, z = _moved(fit, holdout, (fit.truth == one) * 1.0, (holdout.truth == one) * 1.0)
        shares.append((one, before, after, z, abs(2 * np.arcsin(np.sqrt(after)) - 2 * np.arcsin(np.sqrt(before)))))
    one, before, after, z, effect = max(reversed(shares), key=lambda share: share[4])
    if not (effect >= LEAST_EFFECT and abs(z) >= SURE):
        return []
    what = "the share of positives" if list(classes) == [0, 1] else f"the share of the class {one}"
    said = (
        f"{what} is {before:.1%} on the rows learned from and {after:.1%} on the holdout "
        f"(z {z:+.1f} over days, effect size {effect:.2f})"
    )
    apart = 0.5 * sum(abs(after - before) for _, before, after, _, _ in shares)
    return [Cause("label_shift", float(apart), said, {"share_learned": before, "share_holdout": after, "z": z})]


def _moved(fit: Rows, holdout: Rows, first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """(mean, mean, z): rows of one day share their luck, so the means of days are what varies."""
    daily = [of_columns.by_day(rows.days, values) for rows, values in ((fit, first), (holdout, second))]
    error = float(np.sqrt(sum(np.var(means, ddof=1) / len(means) if len(means) > 1 else 0.0 for means in daily)))
    gap = float(daily[1].mean() - daily[0].mean())
    return float(first.mean()), float(second.mean()), gap / error if error else float(np.sign(gap)) * np.inf


def _few(holdout: Rows, problem: str, metric: str, effect: float, lead: Difference | None) -> list[Cause]:
    """A lead that is worth something and cannot be told from chance. With a lead of nothing, more rows would not
    help."""
    rows, days = len(holdout.truth), len(np.unique(holdout.days))
    if problem == "binary":
        positives = int((holdout.truth == 1).sum())
        have = f"{positives:,} positives among {rows:,} rows of {days} days"
    elif problem == "multiclass":
        _, counts = np.unique(holdout.truth, return_counts=True)
        positives = int(counts.min())
        have = f"{positives:,} rows of the rarest class among {rows:,} of {days} days"
    else:
        positives, have = rows, f"{rows:,} rows of {days} days"
    if lead is None or lead.estimate is None or lead.low is None or lead.high is None:
        said = f"{have} do not allow an interval of the difference to the best baseline at all"
        return [Cause("few_positives", 1.0, said, {"positives": positives, "rows": rows, "days": days})]
    if lead.estimate < effect or lead.low > 0:
        return []
    width = lead.high - lead.low
    said = (
        f"{have} leave the lead over the best baseline between {lead.low:+.4f} and {lead.high:+.4f} {metric}: "
        f"an interval {width / effect:.0f} times as wide as the smallest effect of {effect}"
    )
    numbers = {"positives": positives, "rows": rows, "interval_width": width, "smallest_effect": effect}
    return [Cause("few_positives", float((lead.high - effect) / width), said, numbers)]


def _no_signal(told: Mapping[str, Mapping[str, Association]]) -> list[Cause]:
    tests = [(one.chance, name, one) for part in told.values() for name, one in part.items()]
    chance, name, best = min(tests, key=lambda test: test[0])
    if chance < CHANCE / len(tests):
        return []
    said = (
        f"none of the {len(told['fit'])} features alone tells more of the label than chance would, neither on the rows "
        f"learned from nor on the holdout; the best, {name}, explains {best.share:.1%} of it (p {chance:.2f})"
    )
    return [Cause("no_signal", 1.0, said, {"best_feature": name, "explained": best.share, "p": chance})]


def _broken_relation(
    fit: Rows, holdout: Rows, learned: np.ndarray, judged: np.ndarray, told: Mapping[str, Association]
) -> list[Cause]:
    """The features look as they did, and what the best of them said of the label is no longer so."""
    name: str = max(told, key=lambda one: told[one].share)
    target, column = told[name].target, fit.columns[name]
    groups = Groups.of(column)
    was, now = (
        _correlation(expected(column, groups, learned[:, target], rows.columns[name]), targets[:, target])
        for rows, targets in ((fit, learned), (holdout, judged))
    )
    if was * np.sqrt(len(judged)) < SURE or now > was / 2:
        return []
    said = (
        f"what {name} says of the label, learned from the earlier rows, correlates {was:.2f} with it there and "
        f"{now:.2f} on the holdout, although the values of the features look as before"
    )
    return [Cause("broken_relation", float(min(1.0, 1 - now / was)), said, {"feature": name, "was": was, "now": now})]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if not first.std() or not second.std():
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
