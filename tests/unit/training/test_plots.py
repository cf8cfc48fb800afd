"""What a training's pictures are drawn from, by hand; that they are drawn at all is seen in `test_problems.py`."""

from __future__ import annotations

import numpy as np

from imago.training import plots


def test_gains_count_the_positives_among_the_highest_scores_and_rows_of_one_score_come_together():
    rows, found = plots.gains(np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.5, 0.5, 0.1]))
    assert rows.tolist() == [0.0, 0.25, 0.75, 1.0]
    assert found.tolist() == [0.0, 0.5, 1.0, 1.0]


def test_each_class_stands_against_all_others_and_one_without_rows_is_left_out():
    truth = np.array([0.0, 2.0, 2.0])
    scores = {"line": np.array([[0.7, 0.1, 0.2], [0.2, 0.2, 0.6], [0.3, 0.1, 0.6]])}
    panels = plots.one_against_all(truth, scores, ("early", "on_time", "late"))
    assert [name for name, *_ in panels] == ["early", "late"]
    assert [target.tolist() for _, target, _ in panels] == [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    assert [part["line"].tolist() for *_, part in panels] == [[0.7, 0.2, 0.3], [0.2, 0.6, 0.6]]


def test_of_many_classes_the_most_frequent_are_drawn_in_the_order_of_the_spec():
    names = tuple(f"c{place:02d}" for place in range(14))
    truth = np.repeat(np.arange(14.0), [1, 2, *([3] * 12)])
    panels = plots.one_against_all(truth, {"line": np.full((len(truth), 14), 1 / 14)}, names)
    assert [name for name, *_ in panels] == list(names[2:])
