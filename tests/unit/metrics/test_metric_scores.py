from __future__ import annotations

import numpy as np
import pytest

from imago.metrics import scores


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


def test_of_classes_their_shares_and_recalls_are_told_by_name():
    chances = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.6, 0.2, 0.2], [0.1, 0.2, 0.7]])
    told = scores.class_metrics(np.array([0.0, 1.0, 1.0, 1.0]), chances, ("early", "on_time", "late"))
    assert (told["label_rate_on_time"], told["decision_rate_early"], told["accuracy"]) == (0.75, 0.5, 0.5)
    assert (told["recall_early"], told["recall_on_time"]) == (1.0, pytest.approx(1 / 3))
    assert "recall_late" not in told  # nobody was late
    assert told["mean_score"] == pytest.approx(0.65)


def test_of_numbers_the_mean_error_is_told_with_its_sign():
    told = scores.error_metrics(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    assert (told["bias"], told["mae"], told["rmse"]) == (1.5, 1.5, pytest.approx(2.5**0.5))


def test_no_rows_give_no_metrics():
    assert scores.error_metrics(np.empty(0), np.empty(0)) == {}
    assert scores.class_metrics(np.empty(0), np.empty((0, 3)), ("a", "b", "c")) == {}
