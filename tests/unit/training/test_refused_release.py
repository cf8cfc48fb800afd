"""A winner that does not pass a gate of the spec is refused: by that gate's name, in the error, the alert, the ledger
and the dossier."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import select
from toy_world import LIVE, train

from imago import dbt
from imago.errors import ReleaseBlocked
from imago.jobs import deployment
from imago.ledger import champions, connect
from imago.ledger.schema import alerts, decisions
from imago.registry import rehearsal
from imago.specs import BusinessMetric
from imago.storage import Storage

DS = "2013-02-27"
GATES = ["inputs", "fresh process", "prediction time", "memory", "calibration", "business metric"]
COSTLY = BusinessMetric(name="cost", unit="USD", caught=0.0, false_alarm=-5.0, missed=0.0)


def told(environment, table):
    with connect(environment).connect() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(table.c.id)).mappings()]


def limited(spec, **limits):
    return spec.model_copy(update={"guardrails": spec.guardrails.model_copy(update=limits)})


def test_a_winner_that_passes_every_gate_says_so_in_its_dossier(world, spec):
    train(world, spec, DS)
    assert deployment.judge(world, spec, DS, LIVE)["outcome"] == "promoted"
    (decision,) = told(world, decisions)
    checks = decision["verdict"]["checks"]["line"]
    assert [one["gate"] for one in checks] == GATES
    assert all(one["passed"] for one in checks)


@pytest.mark.parametrize(
    ("limits", "gate", "reason"),
    [
        ({"max_predict_ms": 1e-6}, "prediction time", "ms of processor time per 1,000 rows, allowed 0.0"),
        ({"max_predict_memory_mb": 1.0}, "memory", "MiB at most, allowed 1.0"),
        ({"max_calibration_error": 1e-6}, "calibration", "allowed 1e-06"),
        ({"business": COSTLY}, "business metric", "less than by_gate on this holdout"),
        ({"contract": "noise"}, "inputs", "the contract offers no column noise"),
        ({"contract": "gate"}, "inputs", "gate is bigint in the contract, and the model takes a categorical column"),
        ({"patience": 0.01}, "fresh process", "a fresh process gave no answer"),
    ],
)
def test_a_winner_that_does_not_pass_is_refused_by_name(world, spec, monkeypatch, limits, gate, reason):
    train(world, spec, DS)
    if "business" in limits:
        spec = spec.model_copy(update=limits)
    elif "contract" in limits:
        monkeypatch.setattr(dbt, "contract_of", changed(dbt.contract_of, limits["contract"]))
    elif "patience" in limits:
        monkeypatch.setattr(rehearsal, "LONGEST", limits["patience"])
    else:
        spec = limited(spec, **limits)
    for _ in range(2):
        with pytest.raises(ReleaseBlocked) as caught:
            deployment.judge(world, spec, DS, LIVE)
        assert caught.value.facts["rule"] == gate
        assert reason in str(caught.value)
    (decision,), (alert,) = told(world, decisions), told(world, alerts)
    assert (decision["outcome"], decision["verdict"]["gate"]) == ("rejected", gate)
    assert gate in alert["title"] + alert["body"]["why"]
    with connect(world).connect() as connection:
        assert champions.reigning(connection, "toy") is None
    said = json.loads(Storage(world).read_bytes(decision["verdict"]["facts"]["dossier"].replace(".html", ".json")))
    failed = [(one["gate"], one["who"]) for one in said["gates"] if one["state"] == "failed" and one["who"]]
    assert failed == [(gate.capitalize(), "line")]


def changed(contract_of, column):
    """The contract after somebody took `noise` away, or gave `gate` another type."""

    def now(*given):
        contract = contract_of(*given)
        others = tuple(one for one in contract.columns if one.name != column)
        here = next(one for one in contract.columns if one.name == column)
        return replace(contract, columns=others if column == "noise" else (*others, replace(here, data_type="bigint")))

    return now
