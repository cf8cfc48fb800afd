"""What verdicts and their answers mean for who shadows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from registered_world import LIVE, SPEC

from imago.errors import ImagoError
from imago.jobs import approval, monitoring, projection, shadows
from imago.ledger import champions, connect, decisions


@pytest.fixture(autouse=True)
def no_reference(monkeypatch):
    """These champions have no training whose scores a reference could be made of."""
    monkeypatch.setattr(monitoring, "reference_of", lambda *given: None)


def verdict(world, slope, outcome, *, standing="TIE", switch="awaiting"):
    """A decision and what it means for the shadows, as the deployment writes both; its number and its version."""
    entry = world.version(slope)
    number = world.decide(entry, outcome)
    with connect(world.env).begin() as connection:
        champions.lock(connection, "toy")
        recorded = decisions.get(connection, number)
        recorded["verdict"]["rulings"] = [{"name": "line", "standing": standing}]
        shadows.follow_verdict(connection, SimpleNamespace(name="toy", shadows=switch), recorded)
    return number, entry["version"]


def standing(world):
    return [one["version"] for one in shadows.listed(world.env, "toy") if one["stands"]]


@pytest.mark.parametrize("outcome", ["declined", "expired", "voided"])
def test_a_challenger_that_waits_shadows_until_it_is_answered(world, outcome):
    world.promote(1)
    number, version = verdict(world, 2, "awaiting")
    (one,) = shadows.listed(world.env, "toy")
    assert (one["version"], one["decision_id"], one["decided_by"]) == (version, number, f"decision {number}")
    assert one["reason"] == "it won its fight, and waits for approval"
    approval.close(world.env, SPEC, number, outcome, by="bob", context=LIVE)
    assert standing(world) == []
    assert f"version {version}" in shadows.listed(world.env, "toy")[0]["stopped"]["reason"]


def test_an_approval_ends_the_shadow_since_it_reigns_now(world):
    world.promote(1)
    number, _ = verdict(world, 2, "awaiting")
    approval.approve(world.env, SPEC, number, "ada", LIVE)
    (one,) = shadows.listed(world.env, "toy")
    assert (one["stopped"]["by"], one["stopped"]["reason"]) == ("ada", "it reigns now")


@pytest.mark.parametrize(
    ("outcome", "ruling", "switch", "begins"),
    [
        ("awaiting", "WIN", "awaiting", True),
        ("awaiting", "WIN", "ties", True),
        ("awaiting", "WIN", "by_hand", False),
        ("kept", "TIE", "awaiting", False),
        ("kept", "TIE", "ties", True),
        ("kept", "LOSE", "ties", False),
        ("kept", "TIE", "by_hand", False),
        ("blocked", "TIE", "ties", False),
        ("promoted", "WIN", "ties", False),
    ],
)
def test_the_spec_says_which_verdict_begins_a_shadow(world, outcome, ruling, switch, begins):
    _, version = verdict(world, 2, outcome, standing=ruling, switch=switch)
    assert standing(world) == ([version] if begins else [])


def test_the_next_verdict_ends_what_the_last_one_began_and_leaves_what_a_person_did(world):
    _, first = verdict(world, 2, "kept", switch="ties")
    _, second = verdict(world, 3, "kept", switch="ties")
    assert standing(world) == [second]
    spec = SimpleNamespace(name="toy", problem="binary", classes=())
    shadows.start(world.env, spec, first, LIVE, reason="curious")
    verdict(world, 4, "blocked")
    assert standing(world) == [first]
    listed = shadows.listed(world.env, "toy")
    assert listed[1]["stopped"]["reason"] == "a later training was judged: blocked"
    assert (listed[2]["decided_by"], listed[2]["decision_id"]) == ("ada", None)


def test_a_version_in_the_shadow_is_not_deleted(world):
    verdict(world, 2, "kept", switch="ties")
    (version,) = standing(world)
    world.decide(world.version(3), "kept")  # another challenger, so that only the shadow protects it
    with pytest.raises(ImagoError, match="scores in the shadow"):
        projection.forget(world.env, SPEC, version)
    shadows.stop(world.env, SPEC, version, LIVE, reason="done")
    assert projection.forget(world.env, SPEC, version)["version"] == version
