"""The gates beside the fight: each lets the honest through, stops what it is there for, and is shut where nothing can
be told."""

from __future__ import annotations

import numpy as np
import pytest

from imago.selection import Bar, Check, Contestant, decide
from imago.selection.gates import (
    BUSINESS,
    CALIBRATION,
    EQUAL,
    FRESH,
    INPUTS,
    TIME,
    check_answers,
    check_at_most,
    check_business,
    check_calibration,
    check_inputs,
)
from imago.selection.units import Units

OFFERED = {"gate": "varchar", "risk": "double precision", "seats": "integer", "miles": "bigint", "rainy": "boolean"}
RANDOM = np.random.default_rng(11)
DAYS = np.repeat([f"2013-02-{day:02d}" for day in range(1, 11)], 100)
UNITS = Units.of_days(DAYS)
CHANCE = RANDOM.uniform(0.05, 0.95, 1000)
TRUTH = (RANDOM.random(1000) < CHANCE).astype(float)


# --- inputs ---------------------------------------------------------------------------------------------------------


def test_inputs_that_the_contract_offers_pass():
    features = [("gate", "categorical"), *((name, "numeric") for name in ("risk", "seats", "miles", "rainy"))]
    assert check_inputs(features, OFFERED) == Check(INPUTS, True, "the contract offers all 5 inputs")


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        (("delay", "numeric"), "the contract offers no column delay"),
        (("gate", "numeric"), "gate is varchar in the contract, and the model takes a numeric column"),
        (("risk", "categorical"), "risk is double precision in the contract, and the model takes a categorical column"),
    ],
)
def test_an_input_that_the_contract_does_not_offer_is_named(feature, said):
    assert check_inputs([("seats", "numeric"), feature], OFFERED) == Check(INPUTS, False, said)


def test_all_faults_are_named():
    assert check_inputs([("a", "numeric"), ("b", "numeric")], OFFERED).reason.count("offers no column") == 2


def test_a_model_without_inputs_does_not_pass():
    assert check_inputs([], OFFERED) == Check(INPUTS, False, "the model names no inputs")


# --- answers --------------------------------------------------------------------------------------------------------


def test_equal_answers_pass_up_to_float32_arithmetic():
    golden = np.array([0.2, 0.5, 0.75])
    said = "a fresh process loads it and answers 3 golden rows "
    assert check_answers(golden + EQUAL / 2, golden, "binary") == Check(FRESH, True, f"{said}equally (within 0.00001)")
    off = check_answers(golden + np.array([0, -0.25, 0]), golden, "binary")
    assert off == Check(FRESH, False, f"{said}differently, by up to 0.25")
    assert check_answers(np.array([EQUAL]), np.array([0.0]), "binary").passed
    assert not check_answers(np.array([2 * EQUAL]), np.array([0.0]), "binary").passed


def test_predicted_numbers_are_compared_within_their_range():
    golden = np.array([0.0, 1000.0])
    assert check_answers(golden + 0.005, golden, "regression").passed
    assert not check_answers(golden + 0.005, golden, "binary").passed
    assert not check_answers(golden + 0.05, golden, "regression").passed
    constant = np.array([7.0, 7.0])
    assert check_answers(constant, constant, "regression").passed
    assert check_answers(constant + 0.5 * EQUAL, constant, "regression").passed
    assert not check_answers(constant + 1.5 * EQUAL, constant, "regression").passed


def test_chances_of_classes_are_compared_one_by_one():
    golden = np.array([[0.2, 0.8, 0.0], [0.5, 0.25, 0.25]])
    assert check_answers(golden, golden, "multiclass").passed
    assert not check_answers(golden[:, ::-1], golden, "multiclass").passed


@pytest.mark.parametrize(
    ("answers", "golden"),
    [([0.5, 0.5], [0.5]), ([], []), ([np.nan], [0.5]), ([0.5], [np.nan]), ([[0.5]], [0.5])],
)
def test_answers_that_cannot_be_compared_do_not_pass(answers, golden):
    found = check_answers(np.array(answers), np.array(golden), "binary")
    assert (found.gate, found.passed) == (FRESH, False)


# --- cost -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seen", "passed"), [(99.9, True), (100.0, True), (100.1, False), (float("nan"), False)])
def test_a_cost_is_bounded(seen, passed):
    found = check_at_most(TIME, seen, 100.0, "ms")
    assert (found.gate, found.passed) == (TIME, passed)
    assert found.reason == f"{seen:.1f} ms, allowed 100.0"


# --- calibration ----------------------------------------------------------------------------------------------------


def test_scores_that_keep_their_promise_pass_and_others_do_not():
    kept = check_calibration("binary", TRUTH, CHANCE, 0.1)
    assert (kept.gate, kept.passed) == (CALIBRATION, True)
    broken = check_calibration("binary", TRUTH, CHANCE**4, 0.1)
    assert not broken.passed
    assert broken.reason.startswith("calibration error 0.3")
    assert broken.reason.endswith("allowed 0.1")


def test_the_bound_itself_passes():
    truth, scores = np.array([0.0, 1.0, 0.0, 1.0]), np.full(4, 0.75)
    assert check_calibration("binary", truth, scores, 0.25).passed
    assert not check_calibration("binary", truth, scores, 0.2499).passed


def test_of_several_classes_the_worst_counts():
    truth = np.array([0.0, 1.0, 2.0, 2.0])
    fair = np.tile([0.25, 0.25, 0.5], (4, 1))
    assert check_calibration("multiclass", truth, fair, 0.01).passed
    off = np.tile([0.25, 0.5, 0.25], (4, 1))
    assert check_calibration("multiclass", truth, off, 0.2).reason.startswith("calibration error 0.2500")


def test_predicted_numbers_are_measured_in_standard_deviations():
    truth = np.linspace(-100, 100, 1000)
    assert check_calibration("regression", truth, truth + 5.0, 0.1).passed
    assert not check_calibration("regression", truth, truth + 10.0, 0.1).passed
    assert check_calibration("regression", truth, truth + 10.0, 0.1).reason.startswith("calibration error 0.173")


@pytest.mark.parametrize(
    ("problem", "truth", "scores"),
    [("binary", [], []), ("binary", [0.0, 1.0], [0.5, np.nan]), ("regression", [3.0, 3.0], [3.0, 3.0])],
)
def test_a_calibration_that_cannot_be_told_does_not_pass(problem, truth, scores):
    found = check_calibration(problem, np.array(truth), np.array(scores), 10.0)
    assert found == Check(CALIBRATION, False, "no calibration error could be told on this holdout")


# --- the business metric --------------------------------------------------------------------------------------------


def business(gain, allowed=0.0, days=DAYS):
    theirs = np.full(len(days), 7.0)
    return check_business(
        Units.of_days(days), theirs + gain, theirs, opponent="champion v1", allowed=allowed, seed=1, resamples=300
    )


def test_decisions_that_are_worth_more_pass():
    assert business(2.0) == Check(
        BUSINESS, True, "its decisions are worth 2,000 more than champion v1 on this holdout, allowed 0 less"
    )
    assert business(0.0).passed


def test_decisions_that_are_surely_worth_less_than_allowed_do_not_pass():
    assert business(-2.0) == Check(
        BUSINESS, False, "its decisions are worth 2,000 less than champion v1 on this holdout, allowed 0 less"
    )
    assert business(-2.0, allowed=2000.0).passed
    assert not business(-2.0, allowed=1999.0).passed


def test_an_amount_is_told_with_its_unit():
    days = np.repeat([f"2013-02-0{day}" for day in range(1, 10)], 10)
    theirs = np.zeros(90)
    found = check_business(
        Units.of_days(days), theirs - 2.0, theirs, opponent="champion v1", allowed=50.0, seed=1, unit="USD"
    )
    said = "its decisions are worth 180 USD less than champion v1 on this holdout, allowed 50 USD less"
    assert found == Check(BUSINESS, False, said)


def test_a_loss_that_may_be_chance_passes():
    noise = np.where(DAYS < "2013-02-06", 50.0, -51.0)
    assert business(noise).passed
    assert "less than champion v1" in business(noise).reason


def test_a_loss_on_a_single_day_is_not_sure():
    """Many draws lack that day, so the upper bound is exactly 0."""
    assert business(np.where(DAYS == "2013-02-03", -50.0, 0.0)).passed


@pytest.mark.parametrize(("gain", "days"), [(np.nan, DAYS), (1.0, DAYS[:600])])
def test_a_worth_that_cannot_be_told_does_not_pass(gain, days):
    found = business(gain, days=days)
    assert found == Check(BUSINESS, False, "no difference in worth to champion v1 could be told")


def test_the_fight_asks_for_the_worth_of_the_decisions():
    """A challenger that ranks better, and whose decisions cost money, is refused by that gate's name."""
    better = CHANCE
    worse = CHANCE + RANDOM.normal(0, 0.6, 1000)
    contestants = [Contestant("old", "champion", None), Contestant("new", "candidate", None),
                   Contestant("naive", "baseline", None)]  # fmt: skip
    scores = {"old": worse, "new": better, "naive": RANDOM.random(1000)}

    def fought(worths, **allowed):
        return decide(contestants, bar=Bar("roc_auc", True, 0.01), units=UNITS, truth=TRUTH, scores=scores,
                      worths=worths, seed=3, resamples=300, **allowed)  # fmt: skip

    fair = {"old": np.zeros(1000), "new": np.ones(1000), "naive": np.zeros(1000)}
    assert fought(None).outcome == "promoted"
    assert fought(None).checks == {}
    assert fought(fair).outcome == "promoted"
    assert fought(fair).checks["new"][0].gate == BUSINESS
    assert "1,000 more than old" in fought(fair).checks["new"][0].reason
    assert "1,000 EUR more than old" in fought(fair, unit="EUR").checks["new"][0].reason
    costly = {**fair, "new": np.full(1000, -0.0005)}
    found = fought(costly)
    assert (found.outcome, found.gate) == ("rejected", BUSINESS)
    assert fought(costly, allowed_cost=0.51).outcome == "promoted"
    silent = fought({"old": np.zeros(1000)})
    assert (silent.outcome, silent.gate) == ("rejected", BUSINESS)
    assert "was not run" in silent.reason
    no_opponent = fought({"new": np.ones(1000)})
    assert (no_opponent.outcome, no_opponent.gate) == ("rejected", BUSINESS)
