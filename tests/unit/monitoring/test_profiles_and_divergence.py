from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance

from imago.monitoring import divergence, series
from imago.monitoring.bins import freeze
from imago.monitoring.profiles import CHUNK, Profile

KINDS = {"x": "numeric", "c": "categorical"}


def batches(columns, size):
    count = len(next(iter(columns.values())))
    return [{name: values[at : at + size] for name, values in columns.items()} for at in range(0, count, size)]


@pytest.mark.parametrize("size", [1, 7, 300, 1000])
def test_batches_of_any_size_add_up_to_the_same_profile_bit_for_bit(size):
    values = np.random.default_rng(1).normal(size=1000) * 1e-3 + 1e5
    columns = {"x": values, "c": ["a", "b", None, "c"] * 250}
    bins = freeze(columns, KINDS)
    whole = Profile.of(columns, bins)
    assert Profile.merge(Profile.of(part, bins) for part in batches(columns, size)) == whole
    assert Profile.merge(Profile.of(part, bins) for part in reversed(batches(columns, size))) == whole
    assert whole.columns["x"].mean == pytest.approx(values.mean(), abs=1e-9)
    assert whole.columns["x"].deviation == pytest.approx(values.std(), rel=1e-4)


def test_more_rows_than_are_sorted_at_once_are_counted_alike():
    values = np.random.default_rng(2).normal(size=2 * CHUNK + 5)
    bins = freeze({"x": values[:1000]}, {"x": "numeric"})
    edges = np.array(bins.columns["x"].edges)
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    assert Profile.of({"x": values}, bins).columns["x"].counts == tuple(counts.tolist())


def test_missing_unseen_and_infinite_values_are_counted_apart():
    bins = freeze({"x": [1.0, 2.0], "c": ["a", "b"]}, KINDS)
    found = Profile.of({"x": [1.0, np.nan, np.inf, -np.inf, 9.0], "c": ["a", None, "z", "z", "z"]}, bins)
    x, c = found.columns["x"], found.columns["c"]
    assert (x.counts, x.missing, x.unseen, x.rows, x.low, x.high) == ((1, 1), 1, 2, 5, 1.0, 9.0)
    assert (c.counts, c.missing, c.unseen, c.rows) == ((1, 0), 1, 3, 5)


def test_few_values_get_a_bin_each_and_are_known_again():
    bins = freeze({"hour": [3.0, 4.0, 4.0, 7.0]}, {"hour": "numeric"})
    assert bins.columns["hour"].edges == (3.5, 5.5)
    hours = Profile.of({"hour": [3.0, 4.0, 4.0, 7.0]}, bins).columns["hour"]
    assert hours.counts == (1, 2, 1)
    assert series.points_of(hours).tolist() == [3.0, 4.0, 7.0]


def test_values_beyond_the_training_have_bins_of_their_own():
    bins = freeze({"x": np.arange(1000.0)}, {"x": "numeric"})
    counts = Profile.of({"x": [-1.0, 0.0, 999.0, 1000.0]}, bins).columns["x"].counts
    assert (counts[0], counts[-1], sum(counts)) == (1, 1, 4)


def test_a_value_beyond_all_measure_leaves_the_sums_finite():
    bins = freeze({"x": np.arange(1000.0)}, {"x": "numeric"})
    column = Profile.of({"x": [1e308, -1e308, 5.0]}, bins).columns["x"]
    assert np.isfinite([column.total, column.squares]).all()
    assert column.high == 1e308


def test_a_profile_survives_its_table_and_its_json():
    columns = {"x": np.arange(500.0), "c": ["a", "b"] * 250}
    bins = freeze(columns, KINDS)
    profile = Profile.of(columns, bins)
    assert Profile.from_table(profile.to_table("2013-01-01"), bins) == profile
    assert Profile.from_dict(profile.to_dict()) == profile
    with pytest.raises(ValueError, match="other bins"):
        Profile.from_table(profile.to_table("2013-01-01"), freeze({"x": [1.0], "c": ["a"]}, KINDS))


def test_profiles_of_different_champions_cannot_be_added():
    kinds = {"x": "numeric"}
    old, new = freeze({"x": [1.0, 2.0]}, kinds), freeze({"x": [1.0, 3.0]}, kinds)
    with pytest.raises(ValueError, match="different champions"):
        Profile.merge([old, new])


def test_a_feature_that_the_day_does_not_have_is_named():
    bins = freeze({"x": [1.0, 2.0]}, {"x": "numeric"})
    with pytest.raises(KeyError, match="x"):
        Profile.of({"y": pa.array([1.0])}, bins)


def test_arrow_columns_in_chunks_and_dictionaries_are_counted_as_plain_ones():
    columns = {"x": [1.0, None, 3.0, 3.0], "c": ["a", None, "b", "b"]}
    bins = freeze({"x": [1.0, 3.0], "c": ["a", "b"]}, KINDS)
    plain = Profile.of({"x": [1.0, np.nan, 3.0, 3.0], "c": columns["c"]}, bins)
    table = pa.table(columns)
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    encoded = chunked.set_column(1, "c", chunked.column("c").dictionary_encode())
    assert Profile.of(dict(zip(encoded.column_names, encoded.columns, strict=True)), bins) == plain


def test_psi_is_zero_for_equal_shares_and_as_worked_out_by_hand_otherwise():
    assert divergence.psi(np.array([10.0, 10.0]), np.array([10.0, 10.0])) == 0
    # Shares of a large sample: 0.5/0.5 against 0.9/0.1 gives 0.4 ln 1.8 + 0.4 ln 5 = 0.8789.
    assert divergence.psi(np.array([5e7, 5e7]), np.array([9e7, 1e7])) == pytest.approx(0.8789, abs=1e-4)


def test_the_wasserstein_distance_is_the_area_between_the_cumulative_shares():
    # Half of the mass of [0, 1) moves to [2, 3): half of it goes two bins far.
    edges, low, high = np.array([0.0, 1.0, 2.0, 3.0]), np.array(0.0), np.array(3.0)
    moved = divergence.wasserstein(np.array([0, 4, 0, 0, 0]), np.array([0, 2, 0, 2, 0]), edges, low, high)
    assert moved == pytest.approx(1.0)
    assert divergence.wasserstein_of_points(np.array([4, 0, 0]), np.array([0, 2, 2]), np.array([1, 2, 5])) == 2.5


def test_where_cumulative_shares_cross_within_a_bin_both_sides_of_the_crossing_count():
    # They lie 0, 0.25, -0.15 and 0 apart at the edges: triangles of 0.125 and 0.075 outside, and in the middle bin,
    # crossed at 0.25 / 0.4 of its width, of 0.25 * 0.625 / 2 and 0.15 * 0.375 / 2.
    edges, low, high = np.array([0.0, 1.0, 2.0, 3.0]), np.array(0.0), np.array(3.0)
    moved = divergence.wasserstein(np.array([0, 5, 10, 5, 0]), np.array([0, 10, 2, 8, 0]), edges, low, high)
    assert moved == pytest.approx(0.125 + 0.078125 + 0.028125 + 0.075)


def test_an_open_bin_is_as_wide_as_its_values():
    edges = np.array([0.0, 1.0])
    far = divergence.wasserstein(np.array([0, 4, 0]), np.array([0, 0, 4]), edges, np.array(0.0), np.array(3.0))
    assert far == pytest.approx(1.5)  # from the middle of [0, 1) to the middle of [1, 3)


def test_all_measures_agree_with_scipy_on_fine_bins():
    random = np.random.default_rng(3)
    before, now = random.gamma(2.0, size=20_000), random.gamma(2.3, size=5000) + 0.1
    bins = freeze({"x": before}, {"x": "numeric"})
    sides = [Profile.of({"x": values}, bins).columns["x"] for values in (before, now)]
    p, q = (np.array(side.counts) for side in sides)
    edges = np.array(bins.columns["x"].edges)
    moved = divergence.wasserstein(p, q, edges, np.array(before.min()), np.array(max(before.max(), now.max())))
    assert moved == pytest.approx(wasserstein_distance(before, now), abs=2e-3 * before.std())
    assert divergence.kolmogorov_smirnov(p, q) == pytest.approx(ks_2samp(before, now).statistic, abs=2e-3)
    assert divergence.jensen_shannon(p, q) == pytest.approx(jensenshannon(p + 0.5, q + 0.5, base=2), abs=1e-9)


def test_groups_hold_about_equal_reference_mass():
    starts = divergence.group_starts(np.ones(128))
    sizes = divergence.grouped(np.ones(128), starts)
    assert len(sizes) == divergence.GROUPS
    assert sizes.min() >= 12


def test_a_column_without_any_value_has_no_shape():
    assert divergence.psi(np.array([10.0, 10.0]), np.array([0.0, 0.0])) == 0
