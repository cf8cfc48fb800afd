"""Baselines, worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

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
