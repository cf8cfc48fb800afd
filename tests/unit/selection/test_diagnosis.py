"""The diagnosis on plain arrays, for each problem type: over many draws the planted fault comes first, and sound rows
have none."""

from __future__ import annotations

import numpy as np
import pytest

from imago.days import days_between
from imago.selection.causes import Rows, sentence
from imago.selection.diagnosis import diagnose
from imago.selection.terms import Difference

FIT, HOLDOUT = days_between("2013-01-01", "2013-02-09"), days_between("2013-02-11", "2013-02-24")
PER_DAY = 50
NOTHING = Difference(-0.001, -0.02, 0.018, 0.01)  # a lead of nothing: more rows would not help
PROBLEMS = ("binary", "multiclass", "regression")


def part(random, days, problem):
    count = len(days) * PER_DAY
    risk = random.normal(size=count).astype(np.float32)
    gate = random.choice(["A", "B", "C"], count).astype(object)
    told = risk + 0.5 * (gate == "A") + random.normal(size=count)
    truth = {"binary": (told > 0.5).astype(int), "multiclass": np.digitize(told, [-0.5, 1.0]), "regression": told}
    columns = {"gate": gate, "risk": risk, "noise": random.normal(size=count).astype(np.float32)}
    return Rows(np.repeat(np.array(days, dtype=object), PER_DAY), truth[problem], columns)


def sound(seed, problem):
    random = np.random.default_rng(seed)
    return part(random, FIT, problem), part(random, HOLDOUT, problem)


def found(fit, holdout, problem, lead=NOTHING):
    return [
        cause.kind for cause in diagnose(fit, holdout, problem=problem, metric="any", smallest_effect=0.01, lead=lead)
    ]


def with_column(rows, **columns):
    return Rows(rows.days, rows.truth, {**rows.columns, **columns})


def with_truth(rows, truth):
    return Rows(rows.days, truth, rows.columns)


def shifted(fit, holdout, problem):
    if problem == "regression":
        return fit, with_truth(holdout, holdout.truth + 2.0)
    kept = np.random.default_rng(1).random(len(holdout.truth)) < 0.3
    return fit, with_truth(holdout, np.where(kept, holdout.truth, 1))


def dead(fit, holdout, problem):
    return fit, with_column(holdout, risk=np.zeros(len(holdout.days), np.float32))


def dead_while_learning(fit, holdout, problem):
    return with_column(fit, risk=np.full(len(fit.days), np.nan, np.float32)), holdout


def stale(fit, holdout, problem):
    first = {name: column[:PER_DAY] for name, column in holdout.columns.items()}
    return fit, with_column(holdout, **{name: np.tile(values, len(HOLDOUT)) for name, values in first.items()})


def one_stale_column(fit, holdout, problem):
    random = np.random.default_rng(2)
    repeated = [random.permutation(holdout.columns["risk"][:PER_DAY]) for _ in HOLDOUT]
    return fit, with_column(holdout, risk=np.concatenate(repeated))


def lost(fit, holdout, problem):
    gone = np.random.default_rng(3).random(len(holdout.days)) < 0.8
    columns = {name: column.copy() for name, column in holdout.columns.items()}
    columns["risk"][gone], columns["gate"][gone] = np.nan, ""
    return fit, with_column(holdout, **columns)


def shuffled(fit, holdout, problem):
    random = np.random.default_rng(4)
    return tuple(with_truth(rows, random.permutation(rows.truth)) for rows in (fit, holdout))


def broken(fit, holdout, problem):
    return fit, with_truth(holdout, np.random.default_rng(5).permutation(holdout.truth))


FAULTS = {
    shifted: "label_shift",
    dead: "dead_feature",
    dead_while_learning: "dead_feature",
    stale: "stale_partition",
    one_stale_column: "stale_partition",
    lost: "lost_join",
    shuffled: "no_signal",
    broken: "broken_relation",
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_sound_rows_have_no_cause(problem):
    assert [seed for seed in range(40) if found(*sound(seed, problem), problem)] == []


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("plant", FAULTS)
def test_the_planted_fault_comes_first(problem, plant):
    first = [found(*plant(*sound(seed, problem), problem), problem)[:1] for seed in range(10)]
    assert first == [[FAULTS[plant]]] * 10


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_worthwhile_lead_that_may_be_chance_means_too_few_rows(problem):
    rows = sound(1, problem)
    assert found(*rows, problem, Difference(0.05, -0.02, 0.12, 0.04)) == ["few_positives"]
    assert found(*rows, problem, None) == ["few_positives"]


def test_a_feature_that_tells_nothing_is_no_cause_when_it_dies():
    fit, holdout = sound(1, "binary")
    assert found(fit, with_column(holdout, noise=np.zeros(len(holdout.days), np.float32)), "binary") == []


def test_what_is_always_constant_on_a_day_is_not_dead():
    fit, holdout = sound(1, "binary")
    weekday = [np.array([int(day[-2:]) % 7 for day in rows.days], np.float32) for rows in (fit, holdout)]
    parts = [with_column(rows, weekday=values) for rows, values in zip((fit, holdout), weekday, strict=True)]
    assert found(*parts, "binary") == []


def test_dry_days_are_not_a_dead_feature():
    fit, holdout = sound(1, "binary")
    drier = [with_column(rows, risk=np.where([int(day[-2:]) % of == 0 for day in rows.days], rows.columns["risk"], 0))
             for rows, of in ((fit, 3), (holdout, 5))]  # fmt: skip
    assert found(*drier, "binary") == []


def test_several_causes_are_told_in_order_and_the_numbers_name_the_first_day():
    fit, holdout = shuffled(*sound(1, "binary"), "binary")
    half = holdout.days >= "2013-02-18"
    columns = {name: column.copy() for name, column in holdout.columns.items()}
    for name in columns:
        columns[name][half] = np.tile(columns[name][half][:PER_DAY], 7)
    causes = diagnose(fit, with_column(holdout, **columns), problem="binary", metric="any", smallest_effect=0.01,
                      lead=NOTHING)  # fmt: skip
    assert [cause.kind for cause in causes] == ["no_signal", "stale_partition"]
    assert causes[1].numbers["first_stale_day"] == "2013-02-19"
    assert sentence(causes).endswith("also look at: a partition is stale")
