"""Baselines, worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from imago.training import baselines

X = pd.DataFrame(
    {"carrier": ["AA", "AA", "UA", "UA"], "minute": [60.0, 119.0, 60.0, np.nan], "rate": [0.2, np.nan, 0.4, 0.1]}
)
Y = [1, 0, 0, 0]


def chance(model, data=X):
    return model.fit(X, Y).predict_proba(data)[:, 1].tolist()


def test_the_prior_is_the_share_of_positives_for_every_row():
    assert chance(baselines.PriorRate()) == [0.25] * 4


def test_a_group_gets_its_own_share_and_an_unknown_group_the_overall_one():
    model = baselines.GroupRate(columns=("carrier",), smoothing=0.0)
    other = pd.DataFrame({"carrier": ["UA", "B6", "AA"]})
    assert chance(model, other) == [0.0, 0.25, 0.5]


def test_few_rows_are_drawn_towards_the_overall_share():
    model = baselines.GroupRate(columns=("carrier",), smoothing=2.0)
    assert chance(model)[0] == pytest.approx((1 + 2 * 0.25) / (2 + 2))


def test_minutes_of_one_hour_are_one_group_and_missing_ones_are_another():
    model = baselines.GroupRate(columns=("minute",), bin_width=60.0, smoothing=0.0)
    assert chance(model) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0])


def test_a_recent_rate_is_the_feature_itself_and_the_overall_share_where_it_is_missing():
    assert chance(baselines.RecentRate(column="rate")) == [0.2, 0.25, 0.4, 0.1]


def test_the_best_column_is_found_whatever_its_sign():
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 400)
    data = pd.DataFrame({"noise": random.normal(size=400), "against": -label + random.normal(0, 0.1, 400)})
    model = baselines.BestColumnRate().fit(data, label)
    assert model.column_ == "against"
    assert model.predict_proba(data)[label == 1, 1].mean() > 0.7


def test_for_a_number_the_mean_of_a_group_is_predicted():
    model = baselines.GroupMean(columns=("carrier",), smoothing=0.0).fit(X, [10.0, 20.0, 1.0, 3.0])
    assert model.predict(X).tolist() == [15.0, 15.0, 2.0, 2.0]


def test_of_three_classes_each_gets_its_share():
    y = [0, 1, 1, 2]
    assert baselines.PriorRate().fit(X, y).predict_proba(X).tolist() == [[0.25, 0.5, 0.25]] * 4
    assert baselines.PriorRate().fit(X, y).predict(X).tolist() == [1] * 4
    groups = baselines.GroupRate(columns=("carrier",), smoothing=0.0).fit(X, y).predict_proba(X)
    assert groups.tolist() == [[0.5, 0.5, 0.0]] * 2 + [[0.0, 0.5, 0.5]] * 2


def test_recent_rates_are_divided_by_their_sum_and_fall_back_to_the_training_shares():
    data = pd.DataFrame({"a": [1.0, 0.0, np.nan], "b": [1.0, 0.0, 1.0], "c": [2.0, 0.0, 1.0]})
    model = baselines.RecentRates(columns=("a", "b", "c")).fit(data, [0, 1, 2])
    assert model.predict_proba(data).tolist() == [[0.25, 0.25, 0.5], [1 / 3] * 3, [1 / 3] * 3]


def test_a_rule_for_other_classes_says_so():
    with pytest.raises(ValueError, match="classes 0 and 1, not of"):
        baselines.RecentRate(column="rate").fit(X, [0, 1, 2, 2])
    with pytest.raises(ValueError, match="3 classes need as many columns"):
        baselines.RecentRates(columns=("rate",)).fit(X, [0, 1, 2, 2])


def test_the_mean_and_the_median_are_constants_and_a_recent_mean_is_the_feature():
    y = [1.0, 2.0, 3.0, 10.0]
    assert baselines.PriorMean().fit(X, y).predict(X).tolist() == [4.0] * 4
    assert baselines.PriorMedian().fit(X, y).predict(X).tolist() == [2.5] * 4
    assert baselines.RecentMean(column="rate").fit(X, y).predict(X).tolist() == [0.2, 4.0, 0.4, 0.1]


@pytest.mark.parametrize("kind", [baselines.BestColumnRate, baselines.BestColumnMean])
def test_the_best_column_may_be_a_text_and_what_it_never_saw_gets_the_overall_mean(kind):
    random = np.random.default_rng(0)
    gate = random.choice(["A", "B", "C"], 600)
    data = pd.DataFrame(
        {"noise": random.normal(size=600), "gate": gate, "number": (gate == "A") + 0.6 * random.random(600)}
    )
    label = np.array([{"A": 0, "B": 1, "C": 2}[one] for one in gate])
    model = kind(smoothing=0.0).fit(data, label)
    assert model.column_ == "gate"
    unseen = data.head(3).assign(gate=["A", "C", "Z"])
    if kind is baselines.BestColumnRate:
        shares = np.bincount(label) / 600
        assert np.array_equal(model.predict_proba(unseen), [[1, 0, 0], [0, 0, 1], shares])
    else:
        assert model.predict(unseen).tolist() == [0.0, 2.0, pytest.approx(label.mean())]


def test_a_text_of_many_values_is_not_taken_for_telling():
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 400)
    data = pd.DataFrame({"name": [f"n{place}" for place in range(400)], "hint": label + random.normal(size=400)})
    assert baselines.BestColumnRate().fit(data, label).column_ == "hint"


ALL = [
    (baselines.PriorRate(), 3), (baselines.GroupRate(columns=("carrier", "minute"), bin_width=30.0), 3),
    (baselines.RecentRate(column="rate"), 2), (baselines.RecentRates(columns=("rate", "minute", "spare")), 3),
    (baselines.BestColumnRate(bins=5), 3), (baselines.PriorMean(), None), (baselines.PriorMedian(), None),
    (baselines.GroupMean(columns=("carrier",)), None), (baselines.RecentMean(column="rate"), None),
    (baselines.BestColumnMean(bins=5), None),
]  # fmt: skip


@pytest.mark.parametrize(("model", "classes"), ALL, ids=lambda part: type(part).__name__)
def test_the_order_of_the_rows_changes_no_bit_and_what_is_saved_answers_the_same(model, classes):
    import skops.io

    from imago.registry import allowed

    random = np.random.default_rng(2)
    data = pd.DataFrame(
        {
            "carrier": random.choice(["AA", "UA", ""], 500),
            "minute": np.where(random.random(500) < 0.1, np.nan, random.integers(0, 300, 500)),
            "rate": random.random(500).astype("float32"),
            "spare": random.random(500),
        }
    )
    y = (
        random.normal(size=500) * 10.0 ** random.integers(-8, 8, 500)
        if classes is None
        else random.integers(0, classes, 500)
    )
    order = random.permutation(500)
    one, other = clone(model).fit(data, y), clone(model).fit(data.iloc[order], y[order])
    answer = "predict" if classes is None else "predict_proba"
    said = getattr(one, answer)(data)
    np.testing.assert_array_equal(said, getattr(other, answer)(data))
    np.testing.assert_array_equal(said, getattr(allowed.load(skops.io.dumps(one)), answer)(data))
