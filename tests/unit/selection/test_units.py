"""What is drawn again and again where rows share their luck: days, blocks of days, and whoever comes back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imago.errors import SpecError
from imago.selection import Bar, Contestant, Difference, decide
from imago.selection.bootstrap import day_error, differences, intervals, sampler, standard_error
from imago.selection.influence import influence
from imago.selection.two_way import MOST_GROUPS, Draws, variance
from imago.selection.units import Units
from imago.selection.worth import difference
from imago.specs import Baseline, Candidate, Feature, Guardrails, ModelSpec

SPEC = ModelSpec(
    name="toy", owner="ada", description="Who?", entity_key="key", problem="binary", label="label", timezone="UTC",
    label_delay_days=1, first_day="2013-01-01", feature_model="toy_features", outcome_model="toy_outcomes",
    features=(Feature(name="risk", kind="numeric"),), candidates=(Candidate(name="line", build=print, why="a"),),
    baselines=(Baseline(name="same", build=print, why="b"),), primary_metric="roc_auc", smallest_effect=0.01,
    guardrails=Guardrails(floor=0.6, ceiling=0.95),
)  # fmt: skip
METRICS = ["roc_auc", "average_precision", "log_loss", "rmse", "mae", "r2", "accuracy", "macro_f1"]


def names(days):
    return np.array([f"2013-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in range(days)])


def panel(entities, days, **more):
    """Everybody on every day: the rows are ordered by entity, then by day."""
    return Units(np.tile(names(days), entities), np.repeat(np.arange(entities), days), **more)


def rows_of(metric, seed, count):
    random = np.random.default_rng(seed)
    if metric in ("rmse", "mae", "r2"):
        truth = random.normal(1000, 2, count)
        return truth, truth + random.normal(0, 1.5, count)
    if metric in ("accuracy", "macro_f1"):
        return random.integers(0, 4, count).astype(float), random.dirichlet([1, 1, 0.6, 0.2], count)
    truth = np.concatenate([[0.0, 1.0], random.integers(0, 2, count - 2)])
    return truth, np.round(np.clip(0.3 * truth + 0.7 * random.random(count), 0.01, 0.99), 1)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(metric=st.sampled_from(METRICS), seed=st.integers(0, 10**6), count=st.integers(12, 60))
def test_the_influence_of_a_row_is_the_derivative_by_its_weight(metric, seed, count):
    truth, scores = rows_of(metric, seed, count)
    sample, step = sampler(metric, np.arange(count), count, truth, scores), 1e-5
    more, less = np.ones((count, count)) + step * np.eye(count), np.ones((count, count)) - step * np.eye(count)
    expected = (sample(more) - sample(less)) / (2 * step)
    found = influence(metric, truth, scores)
    assert found == pytest.approx(expected, abs=1e-7)
    assert found.sum() == pytest.approx(0, abs=1e-12)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    metric=st.sampled_from(["roc_auc", "log_loss", "rmse"]),
    seed=st.integers(0, 10**6),
    days=st.integers(5, 12),
    delay=st.integers(0, 1),
)
def test_where_nobody_comes_back_and_labels_do_not_overlap_days_are_drawn_as_ever(metric, seed, days, delay):
    random = np.random.default_rng(seed)
    day_of = names(days)[random.integers(0, days, 200)]
    truth, scores = rows_of(metric, seed, 200)
    other = rows_of(metric, seed + 1, 200)[1]
    once, plain = Units(day_of, random.permutation(200), max(1, delay)), Units.of_days(day_of)
    arguments = {"metric": metric, "truth": truth, "scores": {"a": scores, "b": other}, "seed": 3, "resamples": 200}
    pairs = {"higher_is_better": metric == "roc_auc", "pairs": [("a", "b")]}
    assert differences(units=once, **arguments, **pairs) == differences(units=plain, **arguments, **pairs)
    assert intervals(units=once, **arguments) == intervals(units=plain, **arguments)
    assert difference(once, truth - scores, seed=1) == difference(plain, truth - scores, seed=1)
    assert (once.words, once.warning) == (plain.words, None)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(metric=st.sampled_from(METRICS), seed=st.integers(0, 10**6), days=st.integers(7, 30))
def test_the_same_rows_on_every_day_say_no_more_than_on_one(metric, seed, days):
    truth, scores = rows_of(metric, seed, 80)
    one_day = np.sqrt(variance(influence(metric, truth, scores)))
    every_day = standard_error(metric, panel(80, days), np.repeat(truth, days), np.repeat(scores, days, axis=0), seed=1)
    assert every_day == pytest.approx(one_day, rel=1e-6)
    alone = standard_error(metric, Units.of_days(np.tile(names(days), 80)), np.repeat(truth, days),
                           np.repeat(scores, days, axis=0), seed=1)  # fmt: skip
    assert alone == pytest.approx(0, abs=1e-9)  # what drawing days alone claims


def test_lucks_of_entities_and_of_days_add_up():
    """Errors a + b: the variance is that of the mean of a over entities plus that of b over days, less the cells'."""
    random = np.random.default_rng(4)
    entities, days = 50, 20
    a, b = random.gamma(2, 1, entities), random.gamma(2, 1, days)
    errors = (a[:, None] + b).ravel()
    found = standard_error("mae", panel(entities, days), np.zeros(1000), errors, seed=1)
    cells = errors.var(ddof=1) / 1000
    # What is drawn of the days has the noise of 4,000 draws.
    assert found == pytest.approx(np.sqrt(a.var(ddof=1) / entities + b.var(ddof=1) / days - cells), rel=0.03)


def test_pure_noise_is_not_counted_twice():
    random = np.random.default_rng(5)
    found = [
        standard_error("mae", panel(60, 20), np.zeros(1200), random.random(1200), seed=1)
        for _ in range(20)
    ]  # fmt: skip
    assert np.mean(found) == pytest.approx(np.sqrt(1 / 12 / 1200), rel=0.2)


def test_entities_alone_are_a_mean_over_entities_with_students_bound():
    lead = np.random.default_rng(6).random(20)
    units = panel(20, 3, by="entities")  # three days would be too few to draw
    found = differences(metric="mae", higher_is_better=False, units=units, truth=np.zeros(60), seed=1,
                        scores={"a": np.zeros(60), "b": np.repeat(lead, 3)}, pairs=[("a", "b")],
                        resamples=40_000)["a", "b"]  # fmt: skip
    error = lead.std(ddof=1) / np.sqrt(20)
    assert found.error == pytest.approx(error, rel=1e-9)
    assert found.low == pytest.approx(lead.mean() - 2.0930 * error, abs=0.02)


def test_money_of_who_comes_back_is_drawn_by_who_comes_back():
    random = np.random.default_rng(7)
    lasting = random.normal(1, 5, 40)
    found = difference(panel(40, 10), np.repeat(lasting, 10), seed=1)
    assert found.estimate == pytest.approx(10 * lasting.sum())
    assert found.error == pytest.approx(10 * np.sqrt(40) * lasting.std(ddof=1), rel=0.02)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(days=st.integers(7, 90), horizon=st.integers(2, 40), seed=st.integers(0, 99))
def test_a_draw_of_blocks_has_as_many_days_as_there_are_and_favours_none(days, horizon, seed):
    units = Units(names(days), horizon=horizon)
    drawn = units.drawn_days(seed, 3000)
    assert drawn.shape == (3000, days)
    assert set(drawn.sum(axis=1)) == {days}
    assert drawn.mean(axis=0) == pytest.approx(1, abs=0.2)
    # Neighbours go together: two days lie in one block with chance (block - 1) / block.
    assert units.block == max(1, min(horizon, days // 7))
    if units.block > 1:
        together = np.mean([np.corrcoef(drawn[:, day], drawn[:, day + 1])[0, 1] for day in range(days - 1)])
        assert together == pytest.approx((units.block - 1) / units.block, abs=0.2)


def test_overlapping_labels_are_drawn_in_blocks_as_long_as_they_overlap():
    """A moving mean over 10 days: single days claim less than a third of the true standard error."""
    random = np.random.default_rng(8)
    means, claimed, blocked = [], [], []
    for _ in range(60):
        steps = random.normal(size=219)
        lead = np.convolve(steps, np.ones(10), "valid") / 10
        units = Units(np.arange(210), horizon=10)
        means.append(lead.mean())
        blocked.append(standard_error("mae", units, np.zeros(210), lead + 100, seed=1))
        claimed.append(standard_error("mae", Units(np.arange(210)), np.zeros(210), lead + 100, seed=1))
    true = 1 / np.sqrt(210)  # of a mean of independent steps
    assert np.std(means) == pytest.approx(true, rel=0.25)
    assert np.mean(blocked) == pytest.approx(true, rel=0.2)
    assert np.mean(claimed) < 0.4 * true


@pytest.mark.parametrize(
    ("units", "said"),
    [
        (Units(names(30)), "30 days"),
        (Units(names(210), horizon=30), "blocks of 30 days"),
        (Units(names(30), horizon=30), "blocks of 4 days"),
        (Units(names(13), horizon=30), "13 days"),
        (panel(412, 210, horizon=30, called="customers"), "412 customers and blocks of 30 days"),
        (panel(412, 30, horizon=1, called="customers"), "412 customers and 30 days"),
        (panel(412, 30, by="days"), "30 days"),
        (panel(1412, 3, by="entities"), "1,412 entities"),
    ],
)
def test_what_is_drawn_is_said_in_words(units, said):
    assert units.words == said


def test_too_few_days_for_whole_blocks_shorten_them_and_say_how_many_days_would_do():
    assert "training.holdout_days=210" in Units(names(30), horizon=30).warning
    assert "blocks of 4 days are drawn" in Units(names(30), horizon=30).warning
    assert Units(names(210), horizon=30).warning is None
    assert Units(names(209), horizon=30).block == 29
    assert panel(10, 30, horizon=30, by="entities").warning is None


@pytest.mark.parametrize("entities", [6, 7])
def test_an_interval_needs_seven_of_each_unit(entities):
    random = np.random.default_rng(9)
    units = panel(entities, 30)
    assert (units.fault is None) == (entities == 7)
    truth = random.integers(0, 2, 30 * entities).astype(float)
    scores = {"a": truth + random.normal(0, 0.1, len(truth)), "b": random.random(len(truth)), "p": np.zeros(len(truth))}
    verdict = decide([Contestant("b", "champion", None), Contestant("a", "candidate", None),
                      Contestant("p", "baseline", None)], bar=Bar("roc_auc", True, 0.01), units=units, truth=truth,
                     scores=scores, seed=1, resamples=500)  # fmt: skip
    assert verdict.outcome == ("promoted" if entities == 7 else "kept")
    assert verdict.drawn == f"{entities} entities and 30 days"
    fault = 'no interval: 6 entities that come back, and an interval needs 7; where these are all that there will ever be, say resample_by="days" in the spec'  # noqa: E501
    assert (fault in verdict.warnings) == (entities == 6)
    if entities == 6:
        assert verdict.rulings[1].difference == Difference(None, None, None)


def test_many_entities_are_drawn_in_groups_with_the_same_variance():
    lead = np.random.default_rng(10).random(5000)
    units = panel(5000, 7)
    draws = Draws(units, 1, 300)
    assert draws._entities[1].shape == (300, MOST_GROUPS)
    found = standard_error("mae", units, np.zeros(35_000), np.repeat(lead, 7), seed=1)
    assert found == pytest.approx(lead.std(ddof=1) / np.sqrt(5000), rel=1e-6)


def test_the_error_of_one_day_is_that_of_its_entities():
    errors = np.random.default_rng(11).random((50, 10))
    found = day_error("mae", panel(50, 10), np.zeros(500), errors.ravel())
    assert found == pytest.approx(np.sqrt(np.mean(errors.var(axis=0, ddof=1) / 50)))


def rows(**columns):
    return pa.table({"ds": ["a", "a", "b", "b"], **columns})


@pytest.mark.parametrize(
    ("key", "columns", "entities", "entity_codes"),
    [
        ("key", {"key": ["x", "y", "z", "u"]}, False, None),
        ("key", {"key": pa.array([7, 2**60, 7, 2**60 + 1])}, True, [0, 1, 0, 2]),
        (("shop", "till"), {"shop": [1, 1, 1, 2], "till": ["a", "b", "a", "a"]}, True, [0, 1, 0, 2]),
        (("shop", "till"), {"shop": [1, 1, 2, 2], "till": ["a", "b", "a", "b"]}, False, None),
    ],
)
def test_whoever_comes_back_is_seen_in_the_rows(key, columns, entities, entity_codes):
    units = Units.of_rows(SPEC.model_copy(update={"entity_key": key, "label_delay_days": 30}), rows(**columns))
    assert units.draws_entities == entities
    assert units.horizon == 30
    if entity_codes is not None:
        assert units.entity_codes.tolist() == entity_codes


def test_the_spec_may_name_what_is_drawn():
    table = rows(shop=[1, 1, 2, 2], invoice=["a", "b", "c", "d"])
    spec = SPEC.model_copy(update={"entity_key": ("shop", "invoice"), "label_delay_days": 0})
    assert not Units.of_rows(spec, table).draws_entities
    by_shop = Units.of_rows(spec.model_copy(update={"resample_by": "shop"}), table)
    assert (by_shop.draws_entities, by_shop.entity_count, by_shop.words) == (True, 2, "2 values of shop and 2 days")
    assert not Units.of_rows(spec.model_copy(update={"resample_by": "days"}), table).draws_entities
    assert Units.of_rows(spec.model_copy(update={"resample_by": "entities"}), table).words.startswith("4 values of")


def test_a_unit_that_the_rows_do_not_have_is_refused():
    with pytest.raises((SpecError, ValueError), match="resample_by: allowed auto, days, entities, key"):
        ModelSpec(**{**dict(SPEC), "resample_by": "weeks"})
