"""Mutants that no test can notice, each with the reason: (module, function, was, now) -> why."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str, str, str], str] = {
    (
        "rule",
        "_at_least",
        "gain >= smallest_effect - 1e-12",
        "gain > smallest_effect - 1e-12",
    ): "The allowance for rounding is itself arbitrary: on which side its very edge lies is nobody's promise.",
    (
        "rule",
        "_failures",
        "False",
        "True",
    ): "Of the gates in this list only the name and the reason are read; they stand there because they failed.",
    ("bootstrap", "", "2000000", "2000001"): "How many numbers are held at once decides memory, not results.",
    (
        "bootstrap",
        "_average_precision",
        "np.unique(-scores[truth > 0.5])",
        "np.sort(-scores[truth > 0.5])",
    ): "A step that stands twice holds no rows the second time.",
    (
        "bootstrap",
        "_average_precision",
        "max(1, CHUNK // max(len(steps), 1))",
        "min(1, CHUNK // max(len(steps), 1))",
    ): "The size of a chunk decides memory, not results.",
    (
        "bootstrap",
        "standard_error",
        "len(told) > 1",
        "len(told) >= 1",
    ): "Exactly one or two of 4,000 draws with a metric do not come up: days either can hold both classes or cannot.",
    (
        "bootstrap",
        "_r2.sample",
        "spread > 1e-12 * np.maximum(squares, 1e-300)",
        "spread >= 1e-12 * np.maximum(squares, 1e-300)",
    ): "Both sides are equal only where both are 0, and then the division gives NaN too.",
    ("bootstrap", "_auc", "truth > 0.5", "truth >= 0.5"): "A label is 0 or 1, never one half.",
    ("bootstrap", "_auc", "truth <= 0.5", "truth < 0.5"): "A label is 0 or 1, never one half.",
    ("bootstrap", "_average_precision", "1", "2"): "The size of a chunk decides memory, not results.",
    (
        "bootstrap",
        "standard_error",
        "1",
        "2",
    ): "Exactly one or two of 4,000 draws with a metric do not come up: days either can hold both classes or cannot.",
    (
        "bootstrap",
        "_auc.sample",
        "pairs > 0",
        "pairs >= 0",
    ): "Without a pair 0 is divided by 0, which gives the same NaN.",
    ("bootstrap", "_average_precision", "truth > 0.5", "truth >= 0.5"): "A label is 0 or 1, never one half.",
    ("bootstrap", "_average_precision", "1", "2 (no. 2)"): "The size of a chunk decides memory, not results.",
    (
        "bootstrap",
        "_average_precision.some",
        "caught[:, -1] > 0",
        "caught[:, -1] >= 0",
    ): "Without a positive 0 is divided by 0, which gives the same NaN.",
    ("bootstrap", "_average_precision", "truth > 0.5", "truth >= 0.5 (no. 2)"): "A label is 0 or 1, never one half.",
    ("bootstrap", "score", "1", "2 (no. 2)"): "A second draw of the same rows, of which only the first is read.",
    (
        "bootstrap",
        "_r2.sample",
        "1.0",
        "2.0",
    ): "The number stands where NaN is given anyway; it keeps the division quiet.",
    ("bootstrap", "differences", "1", "2 (no. 4)"): "A second draw of the same rows, of which only the first is read.",
    ("slices", "_enough", "return False", "return None"): "Nothing is as false as False here.",
    (
        "slices",
        "check_slices",
        "gap.estimate is None or gap.high is None",
        "gap.estimate is None and gap.high is None",
    ): "A difference has all of its numbers or none; both are asked for because both are used.",
    (
        "slices",
        "check_slices",
        "gap.estimate is None or gap.high is None",
        "gap.high is None",
    ): "A difference has all of its numbers or none; both are asked for because both are used.",
    (
        "slices",
        "check_slices",
        "gap.estimate is None or gap.high is None",
        "gap.estimate is None",
    ): "A difference has all of its numbers or none; both are asked for because both are used.",
    (
        "slices",
        "_enough",
        "truth > 0.5",
        "truth >= 0.5",
    ): "A label is 0 or 1, and the smaller of both classes is taken whichever is counted first.",
    (
        "slices",
        "_enough",
        "truth > 0.5",
        "truth <= 0.5",
    ): "A label is 0 or 1, and the smaller of both classes is taken whichever is counted first.",
    (
        "gates",
        "check_business",
        "gap.estimate is None or gap.high is None or (not math.isfinite(gap.estimate))",
        "gap.high is None or not math.isfinite(gap.estimate)",
    ): "The estimate of a sum is always a number; the type allows for less.",
    (
        "contest",
        "decide",
        " for name in dict.fromkeys((first.opponent, first.best_baseline)) if name is not None",
        " for name in dict.fromkeys((first.opponent, first.best_baseline))",
    ): "Nobody is called None, so such a pair has no difference and is not looked up.",
}
