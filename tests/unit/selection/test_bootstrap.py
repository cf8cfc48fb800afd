"""The day-block bootstrap against the plain definition of each metric."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from imago.selection.bootstrap import differences, intervals, sampler

RANDOM = np.random.default_rng(7)
DAYS = np.repeat(["2013-09-01", "2013-09-02", "2013-09-03", "2013-09-04"], [40, 30, 50, 25])
TRUTH = RANDOM.integers(0, 2, len(DAYS)).astype(float)
SCORES = np.round(
    np.clip(TRUTH * 0.2 + RANDOM.random(len(DAYS)) * 0.8, 0.01, 0.99), 1
)  # rounded, so that there are ties


def drawn(days):
    """The rows of a draw, repeated as often as their day was drawn."""
    return np.repeat(np.arange(len(DAYS)), np.asarray(days)[np.unique(DAYS, return_inverse=True)[1]])


@pytest.mark.parametrize("draw", [[1, 1, 1, 1], [0, 2, 1, 1], [4, 0, 0, 0], [0, 1, 3, 0]])
@pytest.mark.parametrize(
    ("metric", "definition"),
    [
        ("roc_auc", roc_auc_score),
        ("average_precision", average_precision_score),
        ("log_loss", lambda truth, scores: log_loss(truth, scores, labels=[0, 1])),
        ("rmse", lambda truth, scores: np.sqrt(np.mean((truth - scores) ** 2))),
        ("mae", lambda truth, scores: np.mean(np.abs(truth - scores))),
    ],
)
def test_a_draw_of_days_gives_the_metric_of_its_rows(metric, definition, draw):
    codes = np.unique(DAYS, return_inverse=True)[1]
    found = sampler(metric, codes, 4, TRUTH, SCORES)(np.array([draw], dtype=float))[0]
    rows = drawn(draw)
    assert found == pytest.approx(definition(TRUTH[rows], SCORES[rows]), abs=1e-9)


def test_a_model_against_itself_differs_by_exactly_nothing():
    found = compare({"a": SCORES, "b": SCORES.copy()})
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


def test_the_truth_beats_noise_surely():
    found = compare({"a": TRUTH, "b": SCORES})
    assert found.low > 0


def test_a_lower_loss_counts_as_better():
    better = np.where(TRUTH == 1, 0.9, 0.1)
    scores = {"a": better, "b": np.full(len(TRUTH), 0.5)}
    found = differences(metric="log_loss", higher_is_better=False, days=DAYS, truth=TRUTH, scores=scores,
                        pairs=[("a", "b")], seed=1)["a", "b"]  # fmt: skip
    assert found.low > 0


def test_scores_that_are_not_finite_get_no_interval():
    broken = SCORES.copy()
    broken[3] = np.nan
    assert compare({"a": broken, "b": SCORES}).low is None


def test_more_challengers_make_the_interval_wider():
    other = np.clip(SCORES + RANDOM.normal(0, 0.2, len(SCORES)), 0, 1)
    scores = {"a": other, "b": SCORES, "c": TRUTH, "d": TRUTH, "e": TRUTH}
    one = compare(scores)
    many = compare(scores, [("a", "b"), ("c", "b"), ("d", "b"), ("e", "b")])
    assert many.low < one.low
    assert many.high > one.high


def test_the_same_seed_gives_the_same_interval():
    assert intervals(metric="roc_auc", days=DAYS, truth=TRUTH, scores={"a": SCORES}, seed=3) == intervals(
        metric="roc_auc", days=DAYS, truth=TRUTH, scores={"a": SCORES}, seed=3
    )


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ValueError, match="lift"):
        sampler("lift", np.zeros(1, dtype=int), 1, np.ones(1), np.ones(1))


def compare(scores, pairs=(("a", "b"),)):
    return differences(
        metric="roc_auc", higher_is_better=True, days=DAYS, truth=TRUTH, scores=scores, pairs=pairs, seed=1
    )["a", "b"]
