"""A release that the baselines block: each planted fault is the cause that is named first, in the error, in the one
alert and in the ledger."""

from __future__ import annotations

import pytest
from planted import DS, WORLDS
from sqlalchemy import select
from toy_world import LIVE, line, make_spec, publish, rows, train

from imago.errors import ReleaseBlocked
from imago.jobs import deployment
from imago.ledger import champions, connect
from imago.ledger.schema import alerts, decisions
from imago.selection.causes import STEPS, TITLES


def stored(environment, table):
    with connect(environment).connect() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(table.c.id)).mappings()]


def blocked(environment, spec, times=1):
    said = set()
    for _ in range(times):
        with pytest.raises(ReleaseBlocked) as caught:
            deployment.judge(environment, spec, DS, LIVE)
        said.add(str(caught.value))
    (one,) = said
    return one


@pytest.mark.parametrize("name", WORLDS)
def test_the_planted_fault_is_named_first(dev, spec, name):
    kind = name.split()[0]
    publish(dev, *WORLDS[name]())
    train(dev, spec, DS)
    error = blocked(dev, spec, times=3)
    (decision,) = stored(dev, decisions)
    (alert,) = stored(dev, alerts)
    causes = decision["verdict"]["causes"]
    assert causes[0]["kind"] == kind, [cause["said"] for cause in causes]
    assert f"likely cause: {TITLES[kind]}: {causes[0]['said']}" in error
    assert f"#{kind.replace('_', '-')}" in error
    assert (alert["rule"], alert["severity"]) == ("baseline_not_beaten", "critical")
    assert f"likely cause: {TITLES[kind]}" in alert["body"]["why"]
    assert alert["body"]["next_step"].startswith(STEPS[kind])
    assert dict(alert["body"]["facts"])["likely cause"] == TITLES[kind]
    with connect(dev).connect() as connection:
        assert champions.reigning(connection, "toy") is None


def test_a_champion_stays_when_a_later_training_is_blocked(dev, spec):
    features, outcomes = WORLDS["dead_feature"]()
    publish(dev, features, outcomes)
    train(dev, spec, "2013-02-12")
    assert deployment.judge(dev, spec, "2013-02-12", LIVE)["moved"]
    train(dev, spec, DS)
    assert "risk holds only the value 0.25 on 14 of 14 days of the holdout" in blocked(dev, spec, times=2)
    with connect(dev).connect() as connection:
        assert champions.reigning(connection, "toy").training_ds == "2013-02-12"
    assert [alert["rule"] for alert in stored(dev, alerts)] == ["champion_promoted", "baseline_not_beaten"]


def by_gate_only(spec, seed):
    return line(spec, seed).set_params(prepare__numbers="drop")


def test_a_sound_world_names_no_cause(dev):
    spec = make_spec(by_gate_only)
    publish(dev, *rows())
    train(dev, spec, DS)
    assert "none of the usual causes was found" in blocked(dev, spec)
    assert stored(dev, decisions)[0]["verdict"]["causes"] == []
    assert "likely cause" not in dict(stored(dev, alerts)[0]["body"]["facts"])
