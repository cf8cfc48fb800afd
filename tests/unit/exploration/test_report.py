"""The data-exploration page: its figures by hand, and what it tells the reader to look at."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from imago.errors import ImagoError
from imago.exploration import explore, figures
from imago.specs import Baseline, Candidate, Feature, Guardrails, ModelSpec


def unused(spec, seed):
    raise AssertionError("no model is built here")


SPEC = ModelSpec(
    name="rides", owner="us", description="Is a ride late?", entity_key="key", problem="binary", label="late",
    label_delay_days=1, first_day="2013-01-01", timezone="America/New_York",
    feature_model="rides_features", outcome_model="rides_outcomes",
    features=(Feature(name="hour", kind="numeric"), Feature(name="city", kind="categorical")),
    candidates=(Candidate(name="some", build=unused, why="to have one"),),
    baselines=(Baseline(name="prior", build=unused, why="to have one"),),
    primary_metric="roc_auc", smallest_effect=0.01, guardrails=Guardrails(floor=0.6, ceiling=0.9),
)  # fmt: skip
FEATURES = pa.table({
    "key": ["a", "b", "c", "d"],
    "ds": ["2013-01-01", "2013-01-01", "2013-01-02", "2013-01-02"],
    "hour": [1.0, 2.0, 3.0, None],
    "city": ["<b>Rome</b>", "Oslo", "Oslo", None],
})  # fmt: skip
OUTCOMES = pa.table({"key": ["a", "b", "c", "d"], "ds": FEATURES["ds"], "late": pa.array([0, 0, 1, None], pa.int32())})


def joined() -> pa.Table:
    return figures.join(FEATURES, OUTCOMES, SPEC)


def test_the_label_rate_of_a_day_counts_only_rows_with_an_outcome():
    days = figures.by_day(joined(), SPEC)

    assert [(day.ds, day.rows, day.labelled, day.label) for day in days] == [
        ("2013-01-01", 2, 2, 0.0),
        ("2013-01-02", 2, 1, 1.0),
    ]


def test_missing_shares_and_medians_are_over_all_rows():
    rows = joined()
    hour = figures.numeric(rows, "hour", figures.labels_of(rows, SPEC))
    city = figures.categorical(rows, "city", SPEC)

    assert (hour.missing, hour.median, hour.mean) == (0.25, 2.0, 2.0)
    assert (city.missing, city.distinct) == (0.25, 2)
    assert city.top[0] == ("Oslo", 2, 0.5)


def test_rank_correlation_is_that_of_ranks_and_shares_ties():
    assert figures.rank_correlation(np.array([1.0, 10.0, 1000.0]), np.array([3.0, 2.0, 1.0])) == -1.0
    # Ranks 0.5, 0.5, 2 against 0, 1, 2: 1.5 / sqrt(1.5 * 2).
    tied = figures.rank_correlation(np.array([1.0, 1.0, 5.0]), np.array([0.0, 1.0, 2.0]))
    assert tied == pytest.approx(1.5 / math.sqrt(3))
    assert math.isnan(figures.rank_correlation(np.array([1.0, 1.0]), np.array([0.0, 1.0])))


def test_the_page_is_self_contained_escaped_and_equal_for_equal_rows_in_any_order():
    page = explore(FEATURES, OUTCOMES, SPEC)

    assert page.count("data:image/png;base64,") == 4
    assert "http" not in page.replace("http-equiv", "")
    assert "<b>Rome</b>" not in page
    assert "&lt;b&gt;Rome&lt;/b&gt;" in page
    assert explore(FEATURES.take([3, 1, 0, 2]), OUTCOMES.take([2, 0, 1, 3]), SPEC) == page


def test_a_feature_that_knows_the_answer_is_pointed_out():
    leaking = FEATURES.set_column(2, "hour", pa.array([0.0, 0.0, 1.0, None]))

    assert "was it known in time?" in explore(leaking, OUTCOMES, SPEC)


def test_a_feature_without_any_value_and_a_label_that_is_unknown_still_make_a_page():
    empty = FEATURES.set_column(2, "hour", pa.nulls(4, pa.float64()))
    unknown = OUTCOMES.set_column(2, "late", pa.nulls(4, pa.int32()))

    page = explore(empty, unknown, SPEC)
    assert "hour is missing in 100.0% of the rows" in page


def test_no_rows_are_refused():
    with pytest.raises(ImagoError, match="no rows"):
        explore(FEATURES.slice(0, 0), OUTCOMES, SPEC)
