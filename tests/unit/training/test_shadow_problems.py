"""A shadow of each problem type is scored, judged by the truth, and shown to people."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from problem_world import NUMBERS, PROBLEMS, forest, linear, spec_of, world_rows
from shadow_world import left_by_a_training
from toy_world import DAYS, LIVE, publish

from imago import ledger
from imago.contracts import Column, Contract
from imago.errors import ImagoError
from imago.jobs import metrics, scoring, shadow_report, shadow_scoring, shadows
from imago.ledger import champions
from imago.ledger.champions import Champion
from imago.tables import Table

DS = "2013-02-24"
SHADOWED = DAYS[DAYS.index(DS) + 1 :]
CONTRACT = Contract(
    model="recent_features",
    columns=(
        Column(name="gate", data_type="varchar", values=("A", "B", "C")),
        *(Column(name=name, data_type="double precision", at_least=-50, at_most=200) for name in NUMBERS),
    ),
)


@pytest.fixture(params=PROBLEMS)
def challenged(request, dev):
    """(environment, spec): version 1 reigns, version 2 is another model of the same training."""
    spec = spec_of(request.param, linear, forest)
    publish(dev, *world_rows(request.param))
    one, _ = left_by_a_training(dev, {"1": linear, "2": forest}, ds=DS, spec=spec, contract=CONTRACT)
    with ledger.connect(dev).begin() as connection:
        champions.crown(
            connection,
            Champion(
                model="toy", action="promote", version="1", run_id="run-1", training_ds=DS, trained_until="2013-01-20",
                effective_ds=SHADOWED[0], decided_at=datetime.now(UTC), decided_by="t", decision_id=None, reason="r",
                **one["artifact"],
            ),
            expected=None,
        )  # fmt: skip
    return dev, spec


def test_a_shadow_of_each_problem_is_judged_and_shown(challenged):
    env, spec = challenged
    shadows.start(env, spec, "2", LIVE, reason="<b>curious</b>")
    assert "No day yet" in shadow_report.page(env, spec)
    for ds in SHADOWED:
        scoring.score(env, spec, ds, LIVE)
        shadow_scoring.score(env, spec, ds, LIVE)
    judged = metrics.refresh(env, spec, SHADOWED[0], LIVE)
    only = shadow_report.show(env, spec, "2", first=SHADOWED[0], last=SHADOWED[0])["shadows"][0]["told"]
    assert only["metric"]["champion"] == pytest.approx(judged[spec.primary_metric], rel=5e-3)
    (one,) = shadow_report.show(env, spec)["shadows"]
    told = json.loads(json.dumps(one["told"]))
    assert (told["days"], told["days_known"], told["against"]) == (len(SHADOWED), len(SHADOWED), ["1"])
    assert (told["flips"] is None) == (spec.problem == "regression")
    assert (told["money"] is None) == (spec.problem != "binary")
    stored = Table(env, "toy", "shadow_predictions").require(SHADOWED[0])
    assert set(stored.column_names) == set(Table(env, "toy", "predictions").require(SHADOWED[0]).column_names)

    page = shadow_report.page(env, spec, "2")
    assert told["sentence"] in page.replace("&#39;", "'")
    assert "&lt;b&gt;curious&lt;/b&gt;" in page
    assert "<b>curious" not in page
    assert page.startswith("<!doctype html>")
    assert not re.search(r"<script|<link|@import|url\(|<img|https?://|{{", page), "the page needs no other file or host"
    assert f"What it would have {'told' if spec.problem == 'regression' else 'decided'}" in page
    assert ("Where they flip" in page) == (spec.problem != "regression")


def test_the_page_says_how_to_begin_where_nobody_shadows(dev):
    spec = spec_of("binary", linear)
    assert "Nobody shadows" in shadow_report.page(dev, spec)
    with pytest.raises(ImagoError, match="never shadowed"):
        shadow_report.show(dev, spec, "7")
