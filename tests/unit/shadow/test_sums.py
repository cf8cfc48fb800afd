"""A day's sums, by hand: who flips, what each expects of it, and who was right."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from champion_world import SPEC

from imago import measures
from imago.errors import ImagoError
from imago.selection.shadow.parts import finish, parts_of, width
from imago.selection.shadow.sums import day_sums, pair

DS = "2013-02-11"
CLASSES = ("early", "on_time", "late")


def binary(scores, *, keys="abcd", threshold=0.5):
    return pa.table(
        {
            "key": list(keys),
            "ds": [DS] * len(keys),
            "score": pa.array(scores, pa.float64()),
            "decision": [score >= threshold for score in scores],
        }
    )


def outcomes(labels, *, keys="abcd", name="label", kind=None):
    return pa.table({"key": list(keys), "ds": [DS] * len(keys), name: pa.array(labels, kind or pa.int32())})


FEATURES = pa.table({"key": list("abcd"), "ds": [DS] * 4, "gate": ["A", "A", "B", None]})
CHAMPION = binary([0.8, 0.4, 0.6, 0.2])
SHADOW = binary([0.9, 0.7, 0.3, 0.1])  # b is called now, c no longer


def cells(table):
    return {(row["slice"], row["champion_decision"], row["shadow_decision"]): row for row in table.to_pylist()}


def test_flips_are_counted_overall_and_where_they_are():
    found = cells(day_sums(SPEC, DS, "2", "1", pair(SPEC, CHAMPION, SHADOW, None, FEATURES)))
    assert {key: row["rows"] for key, row in found.items()} == {
        ("all", "false", "false"): 1,
        ("all", "false", "true"): 1,
        ("all", "true", "false"): 1,
        ("all", "true", "true"): 1,
        ("gate=(missing)", "false", "false"): 1,
        ("gate=A", "false", "true"): 1,
        ("gate=A", "true", "true"): 1,
        ("gate=B", "true", "false"): 1,
    }
    assert {(row["model_version"], row["champion_version"], row["matured"]) for row in found.values()} == {
        ("2", "1", 0)
    }


def test_before_the_truth_each_expects_by_its_own_scores():
    # Caught 10, false alarm -5, missed and quiet 0: a call is worth 15 p - 5.
    found = cells(day_sums(SPEC, DS, "2", "1", pair(SPEC, CHAMPION, SHADOW, None, None)))
    called, dropped = found["all", "false", "true"], found["all", "true", "false"]
    assert (called["expected_by_champion"], called["expected_by_shadow"]) == pytest.approx((1.0, 5.5))
    assert (dropped["expected_by_champion"], dropped["expected_by_shadow"]) == pytest.approx((-4.0, 0.5))
    assert found["all", "true", "true"]["expected_by_shadow"] == 0.0


def test_the_truth_says_who_was_right_and_what_it_was_worth():
    told = outcomes([1, 1, 1, None])
    found = cells(day_sums(SPEC, DS, "2", "1", pair(SPEC, CHAMPION, SHADOW, told, None)))
    called, dropped = found["all", "false", "true"], found["all", "true", "false"]
    assert (called["matured"], called["champion_right"], called["shadow_right"]) == (1, 0, 1)
    assert (called["champion_money"], called["shadow_money"]) == (0.0, 10.0)
    assert (dropped["champion_right"], dropped["shadow_right"]) == (1, 0)
    assert (dropped["champion_money"], dropped["shadow_money"]) == (10.0, 0.0)
    assert (found["all", "false", "false"]["matured"], found["all", "false", "false"]["champion_parts"]) == (0, None)


def test_outcomes_may_come_in_any_order_and_for_other_keys_too():
    told = outcomes([0, 1, 1, 1], keys="zcba")
    rows = pair(SPEC, CHAMPION, SHADOW, told, None)
    assert rows.truth[:3].tolist() == [1, 1, 1]
    assert np.isnan(rows.truth[3])


def test_a_shadow_of_other_rows_is_not_compared():
    with pytest.raises(ImagoError, match="has not scored the rows"):
        pair(SPEC, CHAMPION, binary([0.9, 0.7, 0.3], keys="abc"), None, None)


def test_days_add_up():
    first = day_sums(SPEC, DS, "2", "1", pair(SPEC, CHAMPION, SHADOW, outcomes([1, 0, 1, 0]), None))
    later = day_sums(SPEC, DS, "2", "1", pair(SPEC, SHADOW, CHAMPION, outcomes([1, 0, 1, 0]), None))
    for name in ("champion_parts", "shadow_parts"):
        total = np.zeros(width("roc_auc", 0))
        for row in (*first.to_pylist(), *later.to_pylist()):
            total[row[name.replace("parts", "places")]] += row[name]
        truth = np.array([1, 0, 1, 0] * 2)
        scores = np.concatenate([CHAMPION["score"].to_numpy(), SHADOW["score"].to_numpy()])
        assert float(finish("roc_auc", total)) == pytest.approx(measures.roc_auc(truth, scores))


def test_classes_flip_between_each_other_and_both_may_be_wrong():
    spec = SPEC.model_copy(
        update={"problem": "multiclass", "classes": CLASSES, "business": None, "primary_metric": "log_loss"}
    )

    def rows(chances):
        places = np.argmax(chances, axis=1)
        named = {f"score_{name}": np.array(chances)[:, place] for place, name in enumerate(CLASSES)}
        return pa.table({"key": ["a", "b"], "ds": [DS] * 2, "decision": [CLASSES[one] for one in places], **named})

    champion, shadow = rows([[0.6, 0.3, 0.1], [0.2, 0.6, 0.2]]), rows([[0.1, 0.2, 0.7], [0.2, 0.6, 0.2]])
    told = outcomes(["on_time", "on_time"], keys="ab", kind=pa.string())
    found = cells(day_sums(spec, DS, "2", "1", pair(spec, champion, shadow, told, None)))
    flip, same = found["all", "early", "late"], found["all", "on_time", "on_time"]
    assert (flip["rows"], flip["champion_right"], flip["shadow_right"], flip["scores"]) == (1, 0, 0, 3)
    assert flip["distance"] == pytest.approx(0.6)
    assert (same["champion_right"], same["shadow_right"], same["distance"]) == (1, 1, 0.0)
    assert (flip["shadow_money"], flip["expected_by_shadow"]) == (None, None)
    assert flip["shadow_parts"] == pytest.approx([1.0, -np.log(0.2)])


def test_numbers_come_closer_or_not_and_flip_nothing():
    spec = SPEC.model_copy(update={"problem": "regression", "business": None, "primary_metric": "rmse"})

    def rows(scores):
        return pa.table({"key": list("abc"), "ds": [DS] * 3, "score": pa.array(scores, pa.float64())})

    told = outcomes([10.0, 20.0, None], keys="abc", kind=pa.float64())
    found = cells(day_sums(spec, DS, "2", "1", pair(spec, rows([8, 20, 5]), rows([11, 26, 5]), told, None)))
    assert list(found) == [("all", "", "")]
    row = found["all", "", ""]
    assert (row["rows"], row["matured"], row["champion_right"], row["shadow_right"]) == (3, 2, 1, 1)
    assert (row["champion_score"], row["shadow_score"], row["distance"]) == (33.0, 42.0, 9.0)
    assert row["champion_parts"] == [2.0, 4.0]
    assert row["shadow_parts"] == [2.0, 37.0]


RANDOM = np.random.default_rng(3)
CHANCES = 1 / (1 + np.exp(-RANDOM.normal(-2, 1, 4000)))
HAPPENED = (RANDOM.random(4000) < CHANCES).astype(float)
THREE = RANDOM.dirichlet([2, 1, 1], 4000)
PLACES = np.array([RANDOM.choice(3, p=row) for row in THREE], dtype=float)
NUMBERS = RANDOM.normal(40, 9, 4000)


@pytest.mark.parametrize(
    ("metric", "truth", "scores", "within"),
    [
        ("roc_auc", HAPPENED, CHANCES, 5e-5),
        ("roc_auc", (RANDOM.random(4000) < CHANCES / 50).astype(float), CHANCES / 50, 1e-3),
        ("average_precision", HAPPENED, CHANCES, 1e-3),
        ("log_loss", HAPPENED, CHANCES, 1e-12),
        ("log_loss", PLACES, THREE, 1e-12),
        ("accuracy", PLACES, THREE, 1e-12),
        ("macro_f1", PLACES, THREE, 1e-12),
        ("rmse", NUMBERS + RANDOM.normal(0, 3, 4000), NUMBERS, 1e-12),
        ("mae", NUMBERS + RANDOM.normal(0, 3, 4000), NUMBERS, 1e-12),
        ("r2", NUMBERS + RANDOM.normal(0, 3, 4000), NUMBERS, 1e-9),
    ],
)
def test_the_parts_of_ten_days_add_up_to_the_metric_on_all_rows(metric, truth, scores, within):
    parts = sum(parts_of(metric, one, two) for one, two in zip(np.split(truth, 10), np.split(scores, 10), strict=True))
    assert len(parts) == width(metric, 3)
    assert float(finish(metric, parts)) == pytest.approx(measures.metric(metric, truth, scores), abs=within)


def test_sure_scores_are_counted_and_a_metric_of_one_class_is_not_defined():
    truth, scores = np.array([1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    assert float(finish("roc_auc", parts_of("roc_auc", truth, scores))) == 0.75
    assert np.isnan(finish("roc_auc", parts_of("roc_auc", truth[:1], scores[:1])))
    assert np.isnan(finish("average_precision", parts_of("average_precision", truth[1:2], scores[1:2])))
    assert np.isnan(finish("rmse", np.zeros(2)))
