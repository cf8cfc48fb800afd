"""The day-block bootstrap against the plain definition of each metric."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, log_loss, r2_score, roc_auc_score

from imago.selection import Difference
from imago.selection.bootstrap import differences, expanded_tail, intervals, sampler, score, standard_error
from imago.selection.units import Units

RANDOM = np.random.default_rng(7)
DAYS = np.repeat([f"2013-09-0{day}" for day in range(1, 9)], [40, 30, 50, 25, 35, 20, 45, 30])
UNITS = Units.of_days(DAYS)
TRUTH = RANDOM.integers(0, 2, len(DAYS)).astype(float)
CLASSES = RANDOM.integers(0, 4, len(DAYS)).astype(float)
CHANCES = RANDOM.dirichlet([1.0, 1.0, 0.6, 0.1], len(DAYS)) * 0.6 + 0.4 * np.eye(4)[CLASSES.astype(int)]
NUMBERS = RANDOM.normal(1000, 2, len(DAYS))
GUESSES = NUMBERS + RANDOM.normal(0, 1.5, len(DAYS))
SCORES = np.round(
    np.clip(TRUTH * 0.2 + RANDOM.random(len(DAYS)) * 0.8, 0.01, 0.99), 1
)  # rounded, so that there are ties


def drawn(days):
    """The rows of a draw, repeated as often as their day was drawn."""
    return np.repeat(np.arange(len(DAYS)), np.asarray(days)[np.unique(DAYS, return_inverse=True)[1]])


@pytest.mark.parametrize(
    "draw", [[1] * 8, [0, 2, 1, 1, 1, 1, 1, 1], [8, 0, 0, 0, 0, 0, 0, 0], [0, 1, 3, 0, 0, 2, 0, 2]]
)
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
    found = sampler(metric, codes, 8, TRUTH, SCORES)(np.array([draw], dtype=float))[0]
    rows = drawn(draw)
    assert found == pytest.approx(definition(TRUTH[rows], SCORES[rows]), abs=1e-9)


@pytest.mark.parametrize(
    "draw", [[1] * 8, [0, 2, 1, 1, 1, 1, 1, 1], [8, 0, 0, 0, 0, 0, 0, 0], [0, 1, 3, 0, 0, 2, 0, 2]]
)
@pytest.mark.parametrize(
    ("metric", "truth", "scores", "definition"),
    [
        ("accuracy", CLASSES, CHANCES, lambda truth, scores: np.mean(scores.argmax(axis=1) == truth)),
        ("macro_f1", CLASSES, CHANCES, lambda truth, scores: f1_score(truth, scores.argmax(axis=1), average="macro")),
        ("log_loss", CLASSES, CHANCES, lambda truth, scores: log_loss(truth, scores, labels=[0, 1, 2, 3])),
        ("r2", NUMBERS, GUESSES, r2_score),
    ],
)
def test_a_draw_of_days_gives_the_metric_of_classes_and_numbers_too(metric, truth, scores, definition, draw):
    codes = np.unique(DAYS, return_inverse=True)[1]
    found = sampler(metric, codes, 8, truth, scores)(np.array([draw], dtype=float))[0]
    rows = drawn(draw)
    assert found == pytest.approx(definition(truth[rows], scores[rows]), abs=1e-9)


@pytest.mark.parametrize(
    ("metric", "higher", "truth", "scores", "worse"),
    [
        ("accuracy", True, CLASSES, CHANCES, np.full((len(DAYS), 4), 0.25)),
        ("macro_f1", True, CLASSES, CHANCES, np.full((len(DAYS), 4), 0.25)),
        ("log_loss", False, CLASSES, CHANCES, np.full((len(DAYS), 4), 0.25)),
        ("mae", False, NUMBERS, GUESSES, NUMBERS + 3.0),
        ("rmse", False, NUMBERS, GUESSES, NUMBERS + 3.0),
        ("r2", True, NUMBERS, GUESSES, NUMBERS + 3.0),
    ],
)
def test_the_better_of_two_is_surely_better_and_the_draws_are_paired(metric, higher, truth, scores, worse):
    arguments = {"metric": metric, "higher_is_better": higher, "units": UNITS, "truth": truth, "seed": 1}
    found = differences(**arguments, scores={"a": scores, "b": worse, "c": scores.copy()},
                        pairs=[("a", "b"), ("a", "c")])  # fmt: skip
    assert 0 < found["a", "b"].low < found["a", "b"].estimate < found["a", "b"].high
    assert (found["a", "c"].low, found["a", "c"].high) == (0.0, 0.0)


def test_an_r2_of_a_draw_whose_truth_does_not_vary_is_no_number():
    truth = np.where(DAYS == "2013-09-01", 5.0, NUMBERS)
    codes = np.unique(DAYS, return_inverse=True)[1]
    draws = np.array([[8.0, 0, 0, 0, 0, 0, 0, 0], [7, 1, 0, 0, 0, 0, 0, 0]])
    found = sampler("r2", codes, 8, truth, GUESSES)(draws)
    assert np.isnan(found[0])
    assert np.isfinite(found[1])


def test_the_error_of_a_metric_is_that_of_a_mean_over_days():
    days = np.array([f"d{place}" for place in range(20)])
    errors = RANDOM.random(20)
    found = standard_error("mae", Units.of_days(days), np.zeros(20), errors, seed=1)
    assert found == pytest.approx(errors.std(ddof=1) / np.sqrt(20), rel=0.03)
    assert standard_error("mae", Units.of_days(days[:1]), np.zeros(1), errors[:1], seed=1) == 0.0


def test_a_model_against_itself_differs_by_exactly_nothing():
    found = compare({"a": SCORES, "b": SCORES.copy()})
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


def test_the_truth_beats_noise_surely():
    found = compare({"a": TRUTH, "b": SCORES})
    assert found.low > 0


def test_a_lower_loss_counts_as_better():
    better = np.where(TRUTH == 1, 0.9, 0.1)
    scores = {"a": better, "b": np.full(len(TRUTH), 0.5)}
    found = differences(metric="log_loss", higher_is_better=False, units=UNITS, truth=TRUTH, scores=scores,
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
    assert intervals(metric="roc_auc", units=UNITS, truth=TRUTH, scores={"a": SCORES}, seed=3) == intervals(
        metric="roc_auc", units=UNITS, truth=TRUTH, scores={"a": SCORES}, seed=3
    )


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ValueError, match="lift"):
        sampler("lift", np.zeros(1, dtype=int), 1, np.ones(1), np.ones(1))


def compare(scores, pairs=(("a", "b"),)):
    return differences(
        metric="roc_auc",
        higher_is_better=True,
        units=UNITS,
        truth=TRUTH,
        scores=scores,
        pairs=pairs,
        seed=1,
    )["a", "b"]


@pytest.mark.parametrize(
    ("metric", "higher"),
    [("roc_auc", True), ("average_precision", True), ("log_loss", False), ("rmse", False), ("accuracy", True)],
)
def test_the_estimate_is_the_difference_of_the_two_metrics(metric, higher):
    worse = np.clip(1 - SCORES, 0.01, 0.99)
    found = differences(metric=metric, higher_is_better=higher, units=UNITS, truth=TRUTH,
                        scores={"a": SCORES, "b": worse}, pairs=[("a", "b")], seed=1)["a", "b"]  # fmt: skip
    sign = 1 if higher else -1
    assert found.estimate == pytest.approx(sign * (score(metric, TRUTH, SCORES) - score(metric, TRUTH, worse)))
    assert 0 < found.low < found.estimate < found.high


def test_accuracy_counts_rows_on_the_right_side_of_one_half():
    assert score("accuracy", np.array([1, 1, 0, 0.0]), np.array([0.5, 0.49, 0.5, 0.1])) == 0.5


def test_log_loss_stays_finite_for_a_sure_and_wrong_score():
    assert score("log_loss", np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(36.0437, abs=1e-3)


@pytest.mark.parametrize("days", [1, 6])
def test_too_few_days_give_no_interval(days):
    rows = np.isin(DAYS, np.unique(DAYS)[:days])
    found = differences(metric="roc_auc", higher_is_better=True, units=UNITS.at(rows), truth=TRUTH[rows],
                        scores={"a": TRUTH[rows], "b": SCORES[rows]}, pairs=[("a", "b")], seed=1)  # fmt: skip
    assert found == {("a", "b"): Difference(None, None, None)}


def test_seven_days_give_an_interval():
    rows = DAYS < "2013-09-08"
    found = differences(metric="roc_auc", higher_is_better=True, units=UNITS.at(rows), truth=TRUTH[rows],
                        scores={"a": TRUTH[rows], "b": SCORES[rows]}, pairs=[("a", "b")], seed=1)  # fmt: skip
    assert found["a", "b"].low > 0


def test_draws_without_both_classes_count_against_every_claim():
    """All positives lie on one of eight days, so every third draw has none: nothing is sure about an AUC."""
    truth = np.where(DAYS == "2013-09-01", TRUTH, 0.0)
    found = differences(metric="roc_auc", higher_is_better=True, units=UNITS, truth=truth,
                        scores={"a": truth, "b": SCORES}, pairs=[("a", "b")], seed=1)  # fmt: skip
    assert found["a", "b"] == Difference(None, None, None)
    assert intervals(metric="roc_auc", units=UNITS, truth=np.zeros(len(DAYS)), scores={"a": SCORES}, seed=1) == {}


def test_a_contestant_without_scores_gets_no_interval():
    assert compare({"a": SCORES}) == Difference(None, None, None)


def test_the_quantiles_move_outwards_with_fewer_days():
    tails = [expanded_tail(0.05, days) for days in (7, 30, 365)]
    # By hand for 30 days: t(0.95, 29) = 1.6991, times sqrt(30 / 29) = 1.7282, and the normal tail beyond that.
    assert tails[1] == pytest.approx(0.04198, abs=1e-4)
    assert tails[0] < tails[1] < tails[2] < 0.05


def test_the_standard_error_is_that_of_a_mean_over_days():
    """One row a day and the mean absolute error: the textbook's s / sqrt(n)."""
    days = np.array([f"d{place}" for place in range(20)])
    errors = RANDOM.random(20)
    found = differences(metric="mae", higher_is_better=False, units=Units.of_days(days), truth=np.zeros(20),
                        scores={"a": np.zeros(20), "b": errors}, pairs=[("a", "b")], seed=1,
                        resamples=40_000)["a", "b"]  # fmt: skip
    assert found.error == pytest.approx(errors.std(ddof=1) / np.sqrt(20), rel=0.03)
    # And the bound is Student's, one-sided 97.5%.
    assert found.low == pytest.approx(errors.mean() - 2.0930 * errors.std(ddof=1) / np.sqrt(20), abs=0.02)


def leads(daily, pairs=None, **more):
    """The differences to "king", whose lead over a contestant is `daily[contestant]`, a number for each of 20 days."""
    days = np.array([f"d{place:02}" for place in range(20)])
    scores = {"king": np.full(20, 10.0), **{name: 10.0 - lead for name, lead in daily.items()}}
    return differences(metric="mae", higher_is_better=False, units=Units.of_days(days), truth=np.zeros(20),
                       scores=scores, pairs=pairs or [(name, "king") for name in daily], seed=1, **more)  # fmt: skip


def bounds_of(lead, low_tail, high_tail):
    spread = multiplicities(np.arange(20), 1)[2] @ lead / 20
    return (
        pytest.approx(np.quantile(spread, expanded_tail(low_tail, 20), method="lower"), abs=1e-12),
        pytest.approx(np.quantile(spread, 1 - expanded_tail(high_tail, 20), method="higher"), abs=1e-12),
    )


def test_the_bounds_of_all_challengers_hold_at_once():
    """By definition: the largest share of draws such that in no more than 2.5% of them anybody is beyond a bound."""
    random = np.random.default_rng(11)
    shared = random.normal(size=20)
    daily = {
        "a": shared + random.normal(size=20),
        "b": 2 * shared + random.normal(size=20),
        "c": random.gamma(1, size=20),
    }
    draws = multiplicities(np.arange(20), 1)[2]
    spreads = np.array([draws @ lead / 20 for lead in daily.values()])

    def largest(side):
        def anybody_beyond(count):
            bounds = [np.sort(side * spread)[count - 1] for spread in spreads]
            return np.mean([(side * spread < bound) for spread, bound in zip(spreads, bounds, strict=True)], axis=0) > 0

        return max(count for count in range(34, 101) if anybody_beyond(count).mean() < 0.025) / 4000

    low, high = largest(1), largest(-1)
    assert 0.025 / 3 < low < 0.025
    assert 0.025 / 3 < high < 0.025
    assert low != high
    found = leads(daily)
    for name, lead in daily.items():
        assert (found[name, "king"].low, found[name, "king"].high) == bounds_of(lead, low, high)


def test_twins_are_one_challenger():
    lead = np.random.default_rng(12).normal(size=20)
    assert leads({"a": lead, "twin": lead})["a", "king"] == leads({"a": lead})["a", "king"]
    assert leads({"a": lead})["a", "king"].low == bounds_of(lead, 0.025, 0.025)[0]


def test_beside_an_equal_of_the_champion_the_correction_is_never_more_than_bonferronis():
    lead = np.random.default_rng(13).normal(size=20)
    found = leads({"a": lead, "equal": np.zeros(20)})["a", "king"]
    assert (found.low, found.high) == bounds_of(lead, 0.0125, 0.0125)


def test_only_the_bounds_of_those_named_hold_together():
    random = np.random.default_rng(14)
    a, b = random.normal(size=20), random.normal(size=20)
    alone, both = leads({"a": a})["a", "king"], leads({"a": a, "b": b})
    assert both["a", "king"].low < alone.low
    for together in ((), ("a",)):
        found = leads({"a": a, "b": b}, together=together)
        assert found["a", "king"] == alone
        assert (found["b", "king"].low, found["b", "king"].high) == bounds_of(b, 0.025, 0.025)
    assert leads({"a": a, "b": b}, together=("a", "b")) == both


def test_a_second_opponent_changes_no_bound():
    random = np.random.default_rng(15)
    daily = {"a": random.normal(size=20), "b": random.normal(size=20)}
    pairs = [(name, other) for name in daily for other in ("king", "other")]
    found = leads({**daily, "other": random.normal(size=20)}, pairs=pairs)
    assert {pair: found[pair] for pair in found if pair[1] == "king"} == leads(daily)
    assert list(found) == pairs


def test_a_draw_without_a_metric_counts_against_every_challenger():
    """By definition, as above: on such a draw everybody lies beyond every bound."""
    days = np.repeat([f"2013-09-{day:02}" for day in range(1, 13)], 40)
    random = np.random.default_rng(16)
    truth = np.where(days < "2013-09-06", random.integers(0, 2, 480), 0).astype(float)
    scores = {name: truth + random.normal(0, noise, 480) for name, noise in (("a", 1), ("b", 2), ("c", 1))}
    codes, count, draws = multiplicities(days, 4)
    told = {name: sampler("roc_auc", codes, count, truth, scores[name])(draws) for name in scores}
    found = differences(metric="roc_auc", higher_is_better=True, units=Units.of_days(days), truth=truth, scores=scores,
                        pairs=[("a", "b"), ("c", "b")], seed=4)  # fmt: skip
    for side, bound in ((1, "low"), (-1, "high")):
        spreads = np.array([np.nan_to_num(side * (told[name] - told["b"]), nan=-np.inf) for name in ("a", "c")])

        def beyond(number, spreads=spreads):
            bounds = np.sort(spreads, axis=1)[:, number - 1]
            return ((spreads < bounds[:, None]) | np.isinf(spreads)).any(axis=0).mean()

        tail = max(number for number in range(51, 101) if beyond(number) < 0.025) / 4000
        assert 0.0125 < tail < 0.025
        for row, name in enumerate(("a", "c")):
            wanted = side * np.quantile(spreads[row], expanded_tail(tail, count), method="lower")
            assert getattr(found[name, "b"], bound) == pytest.approx(wanted, abs=1e-12)


def test_the_order_of_the_rows_changes_nothing():
    order = RANDOM.permutation(len(DAYS))
    other = np.round(np.clip(SCORES + RANDOM.normal(0, 0.2, len(SCORES)), 0, 1), 2)
    for metric in ("roc_auc", "average_precision"):
        arguments = {"metric": metric, "higher_is_better": True, "pairs": [("a", "b")], "seed": 1}
        there = differences(units=UNITS, truth=TRUTH, scores={"a": other, "b": SCORES}, **arguments)
        back = differences(units=UNITS.at(order), truth=TRUTH[order], scores={"a": other[order], "b": SCORES[order]},
                           **arguments)  # fmt: skip
        assert there["a", "b"].low == pytest.approx(back["a", "b"].low, abs=1e-12)


@pytest.mark.parametrize(("truth", "scores"), [([], []), ([0.0, 1.0], [np.nan, 0.2]), ([1.0, 1.0], [0.3, 0.2])])
def test_a_metric_that_is_not_defined_is_no_number(truth, scores):
    assert np.isnan(score("roc_auc", np.array(truth), np.array(scores)))


# --- to the last digit ----------------------------------------------------------------------------------------------


def multiplicities(days, seed, resamples=4000):
    names, codes = np.unique(days, return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return codes, len(names), draws.astype(float)


def test_bounds_and_error_are_those_of_the_draws_and_a_draw_without_a_metric_counts_against_the_claim():
    """Positives on 4 of 8 days: some draws have none of these."""
    days = np.repeat([f"2013-09-0{day}" for day in range(1, 9)], 40)
    truth = np.where(days < "2013-09-05", RANDOM.integers(0, 2, 320), 0).astype(float)
    scores = {"a": truth + RANDOM.normal(size=320), "b": truth + RANDOM.normal(0, 2, 320)}
    codes, count, draws = multiplicities(days, 4)
    spread = np.subtract(*(sampler("roc_auc", codes, count, truth, scores[name])(draws) for name in "ab"))
    undefined = np.isnan(spread)
    tail = expanded_tail(0.025, count)
    assert 0 < undefined.sum() < tail * len(spread)
    found = differences(metric="roc_auc", higher_is_better=True, units=Units.of_days(days), truth=truth, scores=scores,
                        pairs=[("a", "b")], seed=4)["a", "b"]  # fmt: skip
    assert found.low == np.quantile(np.where(undefined, -np.inf, spread), tail, method="lower")
    assert found.high == np.quantile(np.where(undefined, np.inf, spread), 1 - tail, method="higher")
    assert found.error == pytest.approx(np.std(spread[~undefined], ddof=1) * np.sqrt(8 / 7), rel=1e-12)


def test_an_interval_holds_the_middle_of_the_draws():
    found = intervals(metric="roc_auc", units=UNITS, truth=TRUTH, scores={"a": SCORES}, seed=3, confidence=0.9)
    codes, count, draws = multiplicities(DAYS, 3)
    expected = np.quantile(sampler("roc_auc", codes, count, TRUTH, SCORES)(draws), [0.05, 0.95])
    assert found == {"a": pytest.approx(tuple(expected), rel=1e-12)}


def test_whoever_has_no_metric_has_no_interval():
    one_is_missing = np.where(np.arange(len(SCORES)) == 3, np.nan, SCORES)
    told = intervals(metric="roc_auc", units=UNITS, truth=TRUTH, scores={"a": one_is_missing}, seed=3)
    assert told == {}
    assert intervals(metric="roc_auc", units=UNITS, truth=np.zeros(len(DAYS)), scores={"a": SCORES}, seed=3) == {}


def test_the_error_of_two_days_and_of_what_cannot_be_told():
    days = np.repeat(["2013-09-01", "2013-09-02"], 5)
    truth, scores = np.zeros(10), np.repeat([0.0, 1.0], 5)
    codes, count, draws = multiplicities(days, 2)
    expected = np.std(sampler("mae", codes, count, truth, scores)(draws), ddof=1) * np.sqrt(2)
    assert standard_error("mae", Units.of_days(days), truth, scores, seed=2) == pytest.approx(expected, rel=1e-12)
    assert standard_error("mae", Units.of_days(days[:5]), truth[:5], scores[:5], seed=2) == 0.0
    assert standard_error("roc_auc", Units.of_days(days), truth, scores, seed=2) == 0.0


@pytest.mark.parametrize("scale", [1e-9, 1.0])
def test_an_r2_of_numbers_far_from_zero_or_tiny_ones_is_exact(scale):
    truth = RANDOM.normal(size=200) * scale
    guess = truth + RANDOM.normal(0, 0.5, 200) * scale
    assert score("r2", truth, guess) == pytest.approx(r2_score(truth, guess), rel=1e-9)
    far = 1e9 * scale
    assert score("r2", truth + far, guess + far) == pytest.approx(r2_score(truth + far, guess + far), rel=1e-5)


def test_an_r2_is_not_made_of_rounding():
    """Both days are constant, so what varies on one of them is nothing but the rounding of the sums."""
    for value in (0.1, 1 / 3, 0.7, 1.1):
        truth = np.repeat([value, 5.0], [7, 5])
        sample = sampler("r2", np.repeat([0, 1], [7, 5]), 2, truth, truth + 0.1)
        assert np.isnan(sample(np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]]))).all()


def test_one_pair_of_rows_has_an_auc():
    assert score("roc_auc", np.array([0.0, 1.0]), np.array([0.1, 0.9])) == 1.0


def test_an_average_precision_of_few_positives():
    assert np.isnan(score("average_precision", np.zeros(4), np.arange(4.0)))
    truth, scores = np.array([0.0, 1.0, 0.0]), np.array([0.1, 0.5, 0.9])
    assert score("average_precision", truth, scores) == average_precision_score(truth, scores) == 0.5


def test_an_average_precision_of_a_draw_without_the_highest_scores():
    codes, truth = np.array([0, 0, 1, 1]), np.array([1.0, 1.0, 1.0, 0.0])
    sample = sampler("average_precision", codes, 2, truth, np.array([0.9, 0.8, 0.3, 0.2]))
    np.testing.assert_array_equal(sample(np.array([[0.0, 1.0], [1.0, 0.0]])), [1.0, 1.0])


def test_no_rows_have_no_metric():
    assert np.isnan(score("macro_f1", np.empty(0), np.empty((0, 3))))
