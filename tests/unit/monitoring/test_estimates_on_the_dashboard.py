"""The dashboard says how wrong the estimates were, and how wrong one is who estimates nothing."""

from __future__ import annotations

import re

import pytest
from champion_world import FIRST, LIVE

from imago import dashboard
from imago.days import days_between, shift
from imago.jobs import metrics, scoring
from imago.jobs.references import stored_reference
from imago.metrics.daily import to_rows
from imago.tables import Table


def measured(env, ds, **values):
    """Publishes metrics of a day as they are given."""
    table = Table(env, "toy", "metrics")
    rows = to_rows(ds, {"all": values}, {"all": 40}, "1")
    table.publish(rows, days=[ds], key=("metric", "slice"), fence=table.draw_fence(), context=LIVE)


def card(env, spec):
    """The words of the card."""
    (found,) = re.findall(r"<h2>AUC estimated without labels</h2>.*?</section>", dashboard.render(env, spec))
    return found


def test_the_mean_error_of_the_estimate_stands_beside_that_of_the_holdouts_level(reign, toy):
    first, second, third = days_between(FIRST, shift(FIRST, 2))
    measured(reign, first, roc_auc=0.80, estimated_roc_auc=0.83, holdout_roc_auc=0.85)
    measured(reign, second, roc_auc=0.60, estimated_roc_auc=0.59, holdout_roc_auc=0.85)
    measured(reign, third, roc_auc=0.10)  # early: it has no estimate beside it
    said = card(reign, toy)
    assert "<dt>Mature days</dt><dd>2</dd>" in said
    assert "<dt>The estimate was off by</dt><dd>0.020 on average</dd>" in said  # 0.03 and 0.01
    assert "<dt>The holdout&#x27;s level alone, by</dt><dd>0.150</dd>" in said  # 0.05 and 0.25
    for words in (f"{first} estimate: 0.83", f"{first} truth: 0.80", f"{second} estimate: 0.59"):
        assert f"<title>{words}</title>" in said
    assert third not in said


def test_without_a_mature_day_it_says_so(reign, toy):
    assert "No estimated day is mature yet." in card(reign, toy)
    measured(reign, FIRST, roc_auc=0.8)
    assert "No estimated day is mature yet." in card(reign, toy)


def test_a_matured_day_has_its_estimate_its_truth_and_the_holdouts_level(reign, toy):
    scoring.score(reign, toy, FIRST, LIVE)
    told = metrics.refresh(reign, toy, FIRST, LIVE)
    stored = {row["metric"]: row["value"] for row in Table(reign, "toy", "metrics").require(FIRST).to_pylist()
              if row["slice"] == "all"}  # fmt: skip
    (scored,) = Table(reign, "toy", "predictions").partitions()
    level = stored_reference(reign, toy, scored.inputs["artifact_sha256"]).estimator.level
    assert stored["estimated_roc_auc"] == pytest.approx(told["estimate"])
    assert stored["holdout_roc_auc"] == pytest.approx(level)
    assert f"{abs(told['estimate'] - told['roc_auc']):.3f} on average" in card(reign, toy)
    assert f"<dd>{abs(stored['holdout_roc_auc'] - told['roc_auc']):.3f}</dd>" in card(reign, toy)
