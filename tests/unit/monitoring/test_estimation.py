"""Performance without labels: near the truth where the scores are honest, and sure only where its own error is known.

Truths are those of scikit-learn, on rows that the estimator never saw.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit, softmax
from sklearn import metrics as sklearn
from sklearn.linear_model import LogisticRegression

from imago.days import days_between, shift
from imago.monitoring.bins import freeze, names_as_bins
from imago.monitoring.estimates import Estimate, estimate_rows, estimates_of, falls_short
from imago.monitoring.estimation import Estimator, fit_estimator
from imago.monitoring.profiles import DECISION, SCORE, Profile
from imago.monitoring.reference import Reference

DAYS = days_between("2013-01-01", "2013-01-30")
ROWS = 400  # a day
MANY = 40_000  # rows on which chance moves a metric by less than half a hundredth
CLASSES = ("early", "late", "on_time")

TRUTHS = {
    "roc_auc": sklearn.roc_auc_score,
    "average_precision": sklearn.average_precision_score,
    "log_loss": sklearn.log_loss,
    "accuracy": lambda truth, scores: sklearn.accuracy_score(truth, scores.argmax(axis=1)),
    "macro_f1": lambda truth, scores: sklearn.f1_score(truth, scores.argmax(axis=1), average="macro"),
    "mae": sklearn.mean_absolute_error,
    "rmse": sklearn.root_mean_squared_error,
    "r2": sklearn.r2_score,
}
PROBLEMS = {
    "roc_auc": "binary", "average_precision": "binary", "log_loss": "binary", "accuracy": "multiclass",
    "macro_f1": "multiclass", "mae": "regression", "rmse": "regression", "r2": "regression",
}  # fmt: skip


def chances(count, seed, *, sure=1.0, boast=1.0):
    """(truth, scores) of two classes. `sure` is how far the true chances lie from even; a score claims `boast` times
    the odds that are true."""
    random = np.random.default_rng(seed)
    odds = sure * 1.5 * random.normal(size=count) - 0.5
    return (random.random(count) < expit(odds)).astype(float), expit(boast * odds)


def classes(count, seed, *, sure=1.0, often=(1.0, 1.0, 1.0)):
    """(truth, chances) of three classes; `often` is how often rows of each decision come."""
    random = np.random.default_rng(seed)
    scores = softmax(sure * 1.5 * random.normal(size=(count * 3, 3)), axis=1)
    wanted = np.array(often)[scores.argmax(axis=1)]
    scores = scores[random.choice(len(scores), count, p=wanted / wanted.sum())]
    return (scores.cumsum(axis=1) < random.random(count)[:, None]).sum(axis=1).astype(float), scores


def numbers(count, seed, *, high=1.0):
    """(truth, predictions between 1 and 5); the higher a prediction, the farther it is off. `high` is how much oftener
    high ones come than low ones."""
    random = np.random.default_rng(seed)
    scores = 1 + 4 * random.beta(high, 1, count)
    return scores + random.normal(size=count) * scores / 2, scores


MADE = {"binary": chances, "multiclass": classes, "regression": numbers}


def told(problem, scores):
    if problem == "regression":
        return {"score": scores}
    if problem == "binary":
        return {"score": scores, "decision": scores >= 0.5}
    return {"score": scores.max(axis=1), "decision": np.array(CLASSES, dtype=object)[scores.argmax(axis=1)]}


def bins_of(problem, scores):
    frozen = freeze({SCORE: told(problem, scores)["score"]}, {SCORE: "numeric"}).columns
    names = {"binary": ("false", "true"), "multiclass": CLASSES, "regression": ()}[problem]
    return Profile({**frozen, DECISION: names_as_bins(names)} if names else frozen)


def profile_of(problem, scores, bins):
    columns = told(problem, scores)
    stored = {SCORE: columns["score"]}
    if "decision" in columns:
        stored[DECISION] = pa.array(columns["decision"]).cast(pa.string())
    return Profile.of(stored, bins)


class Holdout:
    """An estimator and the rows that it was fitted on."""

    def __init__(self, metric, *, days=DAYS, **changes):
        self.metric, self.problem = metric, PROBLEMS[metric]
        self.truth, self.scores = MADE[self.problem](ROWS * len(days), 1, **changes)
        self.days = np.repeat(np.array(days, dtype=object), ROWS)
        self.bins = bins_of(self.problem, self.scores)
        self.estimator = fit_estimator(
            metric=metric, problem=self.problem, classes=CLASSES if self.problem == "multiclass" else (),
            bins=self.bins, truth=self.truth, scores=self.scores, told=told(self.problem, self.scores),
            days=self.days.tolist(),
        )  # fmt: skip

    def says(self, scores):
        return self.estimator.estimate(profile_of(self.problem, scores, self.bins))

    def later(self, **changes):
        """(estimate, truth) of many rows that came later."""
        truth, scores = MADE[self.problem](MANY, 2, **changes)
        return self.says(scores), TRUTHS[self.metric](truth, scores)


@pytest.mark.parametrize("boast", [0.5, 1.0, 2.0])
def test_the_curve_is_the_logistic_regression_of_the_truth_on_the_log_odds(boast):
    one = Holdout("roc_auc", boast=boast)
    odds = np.log(one.scores / (1 - one.scores))[:, None]
    fitted = LogisticRegression(C=np.inf, tol=1e-8).fit(odds, one.truth)
    assert one.estimator.curve == pytest.approx((fitted.intercept_[0], fitted.coef_[0, 0]), abs=5e-3)


@pytest.mark.parametrize(("hits", "curve"), [(50, (0, np.log(51) / np.log(9))), (0, (-np.log(101), 0))])
def test_the_curve_stays_finite_where_a_holdout_is_told_perfectly_or_has_one_class(hits, curve):
    # Of 50 cases each counts as 51/52 of one, so odds of 9 are taken for 51; of none in 100, all odds for 1 to 101.
    truth = np.repeat([1.0, 0.0], [hits, 100 - hits])
    scores = np.repeat([0.9, 0.1], 50)
    one = fit_estimator(
        metric="roc_auc", problem="binary", classes=(), bins=bins_of("binary", scores), truth=truth, scores=scores,
        told=told("binary", scores), days=["2013-01-01"] * 100,
    )  # fmt: skip
    assert one.curve == pytest.approx(curve, abs=1e-5)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "log_loss"])
@pytest.mark.parametrize("boast", [1.0, 2.0])
def test_of_two_classes_the_estimate_is_near_the_truth_also_where_scores_boast(metric, boast):
    estimate, true = Holdout(metric, boast=boast).later(boast=boast)
    assert estimate == pytest.approx(true, abs=0.02)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "log_loss"])
def test_the_estimate_worsens_as_the_truth_does_when_scores_become_less_sure(metric):
    one = Holdout(metric)
    before, true_before = one.later()
    now, true_now = one.later(sure=0.5)
    worse = -1 if metric == "log_loss" else 1
    assert worse * (before - now) > 0.08
    assert now - before == pytest.approx(true_now - true_before, abs=0.02)


@pytest.mark.parametrize(
    ("metric", "changes"),
    [
        ("accuracy", {"sure": 0.6}),
        ("macro_f1", {"often": (1.0, 6.0, 1.0)}),
        ("mae", {"high": 2.0}),
        ("rmse", {"high": 2.0}),
        ("r2", {"high": 2.0}),
    ],
)
def test_of_classes_and_numbers_the_estimate_follows_the_truth(metric, changes):
    one = Holdout(metric)
    (before, true_before), (now, true_now) = one.later(), one.later(**changes)
    assert before == pytest.approx(true_before, abs=0.03)
    assert now == pytest.approx(true_now, abs=0.03)
    assert abs(true_now - true_before) > 0.06


@pytest.mark.parametrize("metric", list(TRUTHS))
def test_over_the_whole_holdout_the_estimate_is_the_truth(metric):
    one = Holdout(metric)
    assert one.says(one.scores) == pytest.approx(TRUTHS[metric](one.truth, one.scores), abs=1e-6)


def test_the_holdouts_bias_is_what_the_offset_takes_off():
    one = Holdout("roc_auc")
    stored = one.estimator.to_dict() | {"offset": 0.0}
    biased = Estimator.from_dict(stored).estimate(profile_of("binary", one.scores, one.bins))
    true = sklearn.roc_auc_score(one.truth, one.scores)
    assert one.estimator.offset == pytest.approx(true - biased, abs=1e-9)
    assert abs(one.estimator.offset) > 1e-4


def test_the_error_is_what_is_left_on_the_single_days_of_the_holdout():
    one = Holdout("roc_auc")
    days = [one.days == ds for ds in DAYS]
    seen = [sklearn.roc_auc_score(one.truth[day], one.scores[day]) for day in days]
    left = [one.says(one.scores[day]) - true for day, true in zip(days, seen, strict=True)]
    assert one.estimator.error == pytest.approx(np.mean(np.square(left)) ** 0.5)
    assert (one.estimator.level, one.estimator.spread) == pytest.approx((np.mean(seen), np.std(seen, ddof=1)))
    assert (one.estimator.days, one.estimator.rows) == (30, ROWS)


@pytest.mark.parametrize("metric", ["roc_auc", "macro_f1", "rmse"])
def test_fewer_than_seven_days_say_nothing_of_the_error(metric):
    six, seven = (Holdout(metric, days=DAYS[:count]).estimator for count in (6, 7))
    assert (six.error, six.level, six.spread) == (None, None, None)
    assert seven.days == 7
    assert seven.error > 0


@pytest.mark.parametrize("metric", list(TRUTHS))
def test_an_estimator_survives_its_json(metric):
    one = Holdout(metric, days=DAYS[:8]).estimator
    assert Estimator.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize("metric", ["roc_auc", "macro_f1", "rmse"])
def test_rows_without_a_score_say_nothing(metric):
    one = Holdout(metric, days=DAYS[:8])
    nothing = {SCORE: [np.nan]} | ({DECISION: pa.array([None], pa.string())} if DECISION in one.bins.columns else {})
    assert one.estimator.estimate(Profile.of(nothing, one.bins)) is None


def reference_of(one):
    return Reference("x", one.bins, {}, (), DAYS[0], DAYS[-1], estimator=one.estimator)


def week_of(one, count, last=DAYS[-1]):
    """The profiles of the `count` days that end with `last`."""
    scores = {shift(last, -back): one.scores[one.days == shift(last, -back)] for back in range(count)}
    return {ds: profile_of(one.problem, mine, one.bins) for ds, mine in scores.items()}


def test_a_week_is_estimated_over_its_pooled_rows_and_no_older_ones():
    one = Holdout("roc_auc")
    day, week = estimates_of(DAYS[-1], week_of(one, 9), reference_of(one))
    pooled = one.scores[one.days >= shift(DAYS[-1], -6)]
    assert (day.days, day.rows, week.days, week.rows) == (1, ROWS, 7, 7 * ROWS)
    assert week.value == pytest.approx(one.says(pooled))
    assert day.value == pytest.approx(one.says(one.scores[one.days == DAYS[-1]]))
    assert week.error == one.estimator.error


def test_a_week_of_fewer_than_four_days_is_not_estimated():
    one = Holdout("roc_auc")
    assert [found.days for found in estimates_of(DAYS[-1], week_of(one, 3), reference_of(one))] == [1]
    assert [found.days for found in estimates_of(DAYS[-1], week_of(one, 4), reference_of(one))] == [1, 7]


def test_a_reference_without_an_estimator_estimates_nothing():
    one = Holdout("roc_auc", days=DAYS[:8])
    bare = Reference("x", one.bins, {}, (), DAYS[0], DAYS[-1])
    assert estimates_of(DAYS[7], week_of(one, 7, DAYS[7]), bare) == ()


def week(value, error=0.05, days=7):
    return Estimate("m", days, value, error, 100)


@pytest.mark.parametrize(
    ("value", "lower_is_better", "short"),
    [(0.49, False, True), (0.51, False, False), (0.71, True, True), (0.69, True, False)],
)
def test_an_estimate_falls_short_when_it_lies_beyond_the_floor_by_two_of_its_errors(value, lower_is_better, short):
    one = week(value)
    assert falls_short([one], 0.6, lower_is_better=lower_is_better) == (one if short else None)


def test_only_a_week_whose_error_is_known_falls_short():
    assert falls_short([week(0.1, days=1), week(0.1, error=None)], 0.6, lower_is_better=False) is None
    assert falls_short([week(0.9, days=1), week(0.1)], 0.6, lower_is_better=False) == week(0.1)


def test_estimates_are_rows_of_a_table():
    told = estimate_rows("2013-01-30", [week(0.7, error=None, days=1), week(0.6)], "3").to_pylist()
    assert told == [
        {"ds": "2013-01-30", "metric": "m", "days": 1, "value": 0.7, "error": None, "rows": 100, "model_version": "3"},
        {"ds": "2013-01-30", "metric": "m", "days": 7, "value": 0.6, "error": 0.05, "rows": 100, "model_version": "3"},
    ]


FEW = (0.02, 0.08, 0.6, 0.7)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "log_loss"])
def test_scores_of_few_values_are_taken_as_they_are_and_their_ties_count_half(metric):
    random = np.random.default_rng(3)

    def rows(count, often):
        scores = random.choice(FEW, count, p=often)
        return (random.random(count) < scores).astype(float), scores

    truth, scores = rows(20_000, (0.4, 0.3, 0.2, 0.1))
    bins = Profile.of({SCORE: scores}, freeze({SCORE: scores}, {SCORE: "numeric"}))
    one = fit_estimator(
        metric=metric, problem="binary", classes=(), bins=bins, truth=truth, scores=scores,
        told={"score": scores}, days=["2013-01-01"] * len(scores),
    )  # fmt: skip
    assert one.offset == pytest.approx(0, abs=0.01)
    truth, scores = rows(MANY, (0.1, 0.1, 0.4, 0.4))
    assert one.estimate(Profile.of({SCORE: scores}, bins)) == pytest.approx(TRUTHS[metric](truth, scores), abs=0.01)
