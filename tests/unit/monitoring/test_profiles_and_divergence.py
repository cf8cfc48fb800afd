from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import jensenshannon

from imago.monitoring import divergence
from imago.monitoring.profiles import Profile, freeze


def test_days_added_together_are_the_profile_of_all_their_rows():
    values = np.random.default_rng(1).normal(size=1000)
    names = ["a", "b", None, "c"] * 250
    kinds = {"x": "numeric", "c": "categorical"}
    bins = freeze({"x": values, "c": names}, kinds)
    parts = [Profile.of({"x": values[part], "c": names[part]}, bins) for part in (slice(0, 300), slice(300, 1000))]
    merged, whole = Profile.merge(parts).columns, Profile.of({"x": values, "c": names}, bins).columns
    assert merged["c"] == whole["c"]
    assert (merged["x"].counts, merged["x"].rows) == (whole["x"].counts, 1000)
    assert merged["x"].mean == pytest.approx(values.mean(), abs=1e-9)
    assert merged["x"].deviation == pytest.approx(values.std(), abs=1e-9)


def test_missing_unseen_and_infinite_values_are_counted_apart():
    bins = freeze({"x": [1.0, 2.0], "c": ["a", "b"]}, {"x": "numeric", "c": "categorical"})
    found = Profile.of({"x": [1.0, np.nan, np.inf, 9.0], "c": ["a", None, "z", "z"]}, bins)
    x, c = found.columns["x"], found.columns["c"]
    assert (x.counts, x.missing, x.unseen, x.rows) == ((1, 1), 1, 1, 4)
    assert (c.counts, c.missing, c.unseen, c.rows) == ((1, 0), 1, 2, 4)


def test_few_values_get_a_bin_each():
    bins = freeze({"hour": [3.0, 4.0, 4.0, 7.0]}, {"hour": "numeric"})
    assert bins.columns["hour"].edges == (3.5, 5.5)
    assert Profile.of({"hour": [4.0, 4.0, 7.0]}, bins).columns["hour"].counts == (0, 2, 1)


def test_a_profile_survives_its_table_and_its_json():
    columns = {"x": np.arange(200.0), "c": ["a", "b"] * 100}
    bins = freeze(columns, {"x": "numeric", "c": "categorical"})
    profile = Profile.of(columns, bins)
    assert Profile.from_table(profile.to_table("2013-01-01")) == profile
    assert Profile.from_dict(profile.to_dict()) == profile


def test_profiles_of_different_champions_cannot_be_added():
    kinds = {"x": "numeric"}
    old, new = freeze({"x": [1.0, 2.0]}, kinds), freeze({"x": [1.0, 3.0]}, kinds)
    with pytest.raises(ValueError, match="different champions"):
        Profile.merge([old, new])


def test_a_feature_that_the_day_does_not_have_is_named():
    bins = freeze({"x": [1.0, 2.0]}, {"x": "numeric"})
    with pytest.raises(KeyError, match="x"):
        Profile.of({"y": pa.array([1.0])}, bins)


def test_psi_is_zero_for_equal_shares_and_as_worked_out_by_hand_otherwise():
    assert divergence.psi(np.array([10.0, 10.0]), np.array([10.0, 10.0])) == 0
    # Shares of a large sample: 0.5/0.5 against 0.9/0.1 gives 0.4 ln 1.8 + 0.4 ln 5 = 0.8789.
    assert divergence.psi(np.array([5e7, 5e7]), np.array([9e7, 1e7])) == pytest.approx(0.8789, abs=1e-4)


def test_jensen_shannon_agrees_with_scipy():
    random = np.random.default_rng(2)
    before, now = random.integers(1000, 9000, 10), random.integers(1000, 9000, 10)
    ours = divergence.jensen_shannon(before, now)
    assert ours == pytest.approx(jensenshannon(before, now, base=2), abs=1e-4)


def test_groups_hold_about_equal_reference_mass():
    starts = divergence.group_starts(np.ones(128))
    sizes = divergence.grouped(np.ones(128), starts)
    assert len(sizes) == divergence.GROUPS
    assert sizes.min() >= 12


def test_a_column_without_any_value_has_no_shape():
    assert divergence.psi(np.array([10.0, 10.0]), np.array([0.0, 0.0])) == 0
