from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from imago.metrics import scores


@pytest.fixture(params=[1, 2, 3])
def told(request):
    random = np.random.default_rng(request.param)
    guess = np.round(random.random(500), 2)  # rounded: many ties
    return (random.random(500) < guess).astype(float), guess


def test_metrics_agree_with_scikit_learn(told):
    labels, guess = told
    assert scores.roc_auc(labels, guess) == pytest.approx(sklearn_metrics.roc_auc_score(labels, guess), abs=1e-12)
    assert scores.average_precision(labels, guess) == pytest.approx(
        sklearn_metrics.average_precision_score(labels, guess), abs=1e-12
    )
    assert scores.log_loss(labels, guess) == pytest.approx(sklearn_metrics.log_loss(labels, guess), abs=1e-9)
    assert scores.brier(labels, guess) == pytest.approx(sklearn_metrics.brier_score_loss(labels, guess), abs=1e-12)


def test_calibration_error_is_the_distance_between_promise_and_truth():
    # Promised 0.9 for ten rows, seven came true.
    labels = np.array([1.0] * 7 + [0.0] * 3)
    assert scores.calibration_error(labels, np.full(10, 0.9)) == pytest.approx(0.2)


def test_what_cannot_be_said_is_left_out():
    one_class = scores.binary_metrics(np.zeros(3), np.array([0.1, 0.2, 0.3]), np.array([False] * 3))
    assert "roc_auc" not in one_class
    assert "precision" not in one_class
    assert one_class["label_rate"] == 0.0


def test_precision_and_recall_are_those_of_the_decisions():
    labels, decisions = np.array([1, 1, 0, 0]), np.array([True, False, True, True])
    told = scores.binary_metrics(labels.astype(float), np.array([0.9, 0.1, 0.8, 0.7]), decisions)
    assert (told["precision"], told["recall"]) == (pytest.approx(1 / 3), 0.5)


def test_the_noise_of_an_auc_shrinks_with_the_positives():
    few, many = scores.roc_auc_error(0.7, 20, 900), scores.roc_auc_error(0.7, 2000, 90_000)
    assert few == pytest.approx(0.066, abs=0.002)
    assert many == pytest.approx(few / 10, rel=0.05)
