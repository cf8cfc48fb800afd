"""Great Expectations carries the verdicts: every check runs, computes for itself, and is shown."""

from __future__ import annotations

import dataclasses
import json

import pytest
from champion_world import LIVE, publish, world_rows

from imago.days import days_between
from imago.errors import ImagoError
from imago.jobs import drift_docs, monitoring, scoring
from imago.monitoring import expectations
from imago.storage import Storage

WEEK = days_between("2013-02-11", "2013-02-17")


@pytest.fixture
def drifted(reign, toy):
    moved, _ = world_rows(WEEK[:2], shift=4.0)
    publish(reign, "features", moved, WEEK[:2])
    for ds in WEEK[:2]:
        scoring.score(reign, toy, ds, LIVE)
        monitoring.monitor(reign, toy, ds, LIVE)
    return reign


def test_every_finding_is_checked_again_and_the_page_shows_it_with_its_history(drifted, toy):
    told = drift_docs.document(drifted, toy, WEEK[1], LIVE)
    assert told["checks"]["run"] == told["checks"]["declared"] > 20
    assert told["critical"] > 0
    page = drift_docs.page(drifted, toy, WEEK[1])
    assert page.count("<svg") == 2 * drift_docs.PICTURES
    assert "risk: PSI against the training below" in page
    assert WEEK[0][5:] in page
    assert f"{told['checks']['run']} of {told['checks']['declared']}" in page
    stored = json.loads(Storage(drifted).read_bytes(f"drift/toy/{WEEK[1]}/result.json"))
    assert len(stored["validation"]["results"]) == told["checks"]["run"]
    assert drift_docs.page(drifted, toy, WEEK[6]) is None


@pytest.fixture
def judged(drifted, toy):
    _, reference, profiles = monitoring.looked_at(drifted, toy, WEEK[1], toy.drift)
    findings = monitoring.judgement_of(drifted, toy, WEEK[1]).findings
    return findings, profiles, reference


def test_a_judgement_that_the_profile_does_not_bear_out_is_doubted(judged):
    findings, profiles, reference = judged
    one = next(finding for finding in findings if finding.level == "critical")
    wrong_value = dataclasses.replace(one, value=one.value + 0.01)
    others = tuple(finding for finding in findings if finding is not one)
    validation = expectations.judged(WEEK[1], [*others, wrong_value], profiles, reference)
    assert len(expectations.doubts([*others, wrong_value], validation)) == 1
    right = expectations.judged(WEEK[1], findings, profiles, reference)
    calm = dataclasses.replace(one, lasting=0.0)
    assert expectations.doubts(findings, right) == []
    assert "the judgement warning" in expectations.doubts([*others, calm], right)[0]


def test_a_check_that_did_not_run_is_doubted(judged):
    findings, profiles, reference = judged
    validation = expectations.judged(WEEK[1], findings[1:], profiles, reference)
    (doubt,) = expectations.doubts(findings, validation)
    assert doubt.endswith("no results")


def test_a_check_that_raises_is_doubted_and_fails_the_task(drifted, toy, monkeypatch):
    monkeypatch.setattr(expectations, "value_of", lambda row, measure: 1 / 0)
    with pytest.raises(ImagoError, match="does not bear out"):
        drift_docs.document(drifted, toy, WEEK[1], LIVE)
