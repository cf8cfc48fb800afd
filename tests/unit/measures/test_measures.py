"""Each metric against scikit-learn's own, on tied, sure and wrong scores too."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from imago.measures import decided, metric


def binary(random):
    guess = np.round(random.random(500), 2)  # rounded: many ties
    return (random.random(500) < guess).astype(float), guess


def multiclass(random):
    chances = np.round(random.dirichlet([0.6, 1.0, 0.3, 0.05], 500), 2)
    chances /= chances.sum(axis=1, keepdims=True)
    chances[:3] = [[1, 0, 0, 0], [0, 0, 0, 1], [0.5, 0.5, 0, 0]]
    truth = (random.random(500)[:, None] > np.cumsum(chances, axis=1)).sum(axis=1).clip(max=3)
    truth[:3] = [1, 3, 1]  # sure and wrong, sure and right, tied
    return truth.astype(float), chances


def regression(random):
    truth = random.normal(100, 5, 500)
    return truth, truth + random.normal(0, 3, 500)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "world", "theirs"),
    [
        ("roc_auc", binary, sklearn_metrics.roc_auc_score),
        ("average_precision", binary, sklearn_metrics.average_precision_score),
        ("log_loss", binary, lambda truth, scores: sklearn_metrics.log_loss(truth, scores)),
        ("brier", binary, sklearn_metrics.brier_score_loss),
        ("accuracy", binary, lambda truth, scores: sklearn_metrics.accuracy_score(truth, scores >= 0.5)),
        ("accuracy", multiclass, lambda truth, scores: sklearn_metrics.accuracy_score(truth, scores.argmax(axis=1))),
        ("macro_f1", multiclass,
         lambda truth, scores: sklearn_metrics.f1_score(truth, scores.argmax(axis=1), average="macro")),
        ("log_loss", multiclass, lambda truth, scores: sklearn_metrics.log_loss(truth, scores, labels=[0, 1, 2, 3])),
        ("mae", regression, sklearn_metrics.mean_absolute_error),
        ("rmse", regression, sklearn_metrics.root_mean_squared_error),
        ("r2", regression, sklearn_metrics.r2_score),
    ],
)  # fmt: skip
def test_metrics_agree_with_scikit_learn(name, world, theirs, seed):
    truth, scores = world(np.random.default_rng(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metric(name, truth, scores) == pytest.approx(theirs(truth, scores), rel=1e-12, abs=1e-12)


def test_a_class_that_nobody_has_and_nobody_tells_does_not_count():
    truth = np.array([0.0, 0.0, 1.0])
    scores = np.array([[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.1, 0.9, 0.0]])
    assert metric("macro_f1", truth, scores) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("name", "truth", "scores"),
    [
        ("roc_auc", [1.0, 1.0], [0.2, 0.3]),
        ("average_precision", [0.0, 0.0], [0.2, 0.3]),
        ("r2", [3.0, 3.0], [3.0, 3.0]),
        ("mae", [], []),
        ("log_loss", [1.0, 0.0], [np.nan, 0.3]),
    ],
)
def test_what_cannot_be_said_is_no_number(name, truth, scores):
    assert np.isnan(metric(name, np.array(truth), np.array(scores)))


def test_the_most_probable_class_is_decided_for_and_the_first_of_equals():
    assert decided(np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])).tolist() == [1, 0]
    assert decided(np.array([0.2, 0.19]), 0.2).tolist() == [1, 0]
