"""A champion scores only rows that keep the contract that it was trained under."""

from __future__ import annotations

import logging

import pyarrow as pa
import pytest
from champion_world import CONTRACT, DAYS, FIRST, LIVE, SPEC, TRAINED, crown, publish, world_rows
from sqlalchemy import select

from imago import ledger
from imago.contracts import Contract
from imago.errors import RefusedPartition
from imago.jobs import scoring, serving
from imago.ledger.schema import alerts
from imago.registry import load_model
from imago.storage import Storage
from imago.tables import Table


def with_column(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, values)


def wild(ds: str) -> pa.Table:
    """A day of features in which three rows hold a gate that nobody promised."""
    rows, _ = world_rows([ds])
    gates = rows["gate"].to_pylist()
    return with_column(rows, "gate", pa.array(["Z"] * 3 + gates[3:]))


def publish_day(env, rows: pa.Table, ds: str, **inputs: str) -> None:
    table = Table(env, SPEC.name, "features")
    table.publish(rows, days=[ds], key=("key",), fence=table.draw_fence(), context=LIVE, inputs=inputs)


def told(env) -> list[tuple[str, str]]:
    with ledger.connect(env).connect() as connection:
        return [(row.rule, row.title) for row in connection.execute(select(alerts).order_by(alerts.c.id))]


def test_the_contract_of_the_fit_comes_back_with_the_champion(dev, toy):
    features, outcomes = world_rows()
    publish(dev, "features", features, DAYS)
    publish(dev, "outcomes", outcomes, DAYS)
    champion = crown(dev)

    assert load_model(dev, champion).contract == CONTRACT
    summary = scoring.score(dev, toy, FIRST, LIVE)
    assert summary["input_checks"] == 1 + 3 + 3


def test_a_value_that_was_not_promised_refuses_the_day_and_tells_one_alert(reign, toy):
    publish_day(reign, wild(FIRST), FIRST)
    for _ in range(2):
        with pytest.raises(RefusedPartition, match="version 1 was trained under: gate: allowed values") as refused:
            scoring.score(reign, toy, FIRST, LIVE)

    assert refused.value.facts == {
        "environment": "dev", "model": "toy", "table": "features", "partition": FIRST, "column": "gate",
        "rule": "allowed values", "allowed": "A, B, C", "seen": "'Z'", "rows": 3,
    }  # fmt: skip
    assert Table(reign, "toy", "predictions").version() is None
    assert [rule for rule, _ in told(reign)] == ["prediction_refused"]


def test_a_contract_that_moved_since_the_training_is_said_to_have_moved(reign, toy):
    told_of = {"another digest": "moved since version 1 was trained", CONTRACT.digest: "run feature_refresh again"}
    for rows, (audited, said) in enumerate(told_of.items(), start=10):
        publish_day(reign, wild(FIRST).slice(0, rows), FIRST, contract=audited)
        with pytest.raises(RefusedPartition) as refused:
            scoring.score(reign, toy, FIRST, LIVE)
        assert said in refused.value.next_step


@pytest.mark.parametrize(
    ("column", "values", "rule", "seen"),
    [
        ("noise", None, "all of the contract's columns", "no such column"),
        ("risk", pa.array(["1"] * 40), "type", "string"),
        ("risk", pa.array([True] * 40), "type", "bool"),
    ],
)
def test_a_column_that_went_missing_or_changed_its_type_is_refused_by_name(reign, toy, column, values, rule, seen):
    rows, _ = world_rows([FIRST])
    changed = rows.drop_columns([column]) if values is None else with_column(rows, column, values)
    Storage(reign).delete("tables/toy/features")  # a table that was made anew
    publish_day(reign, changed, FIRST)

    with pytest.raises(RefusedPartition) as refused:
        scoring.score(reign, toy, FIRST, LIVE)

    facts = refused.value.facts
    assert (facts["column"], facts["rule"], facts["seen"], facts["rows"]) == (column, rule, seen, 40)


def test_a_model_from_before_contracts_were_kept_scores_on_and_says_so(dev, toy, caplog):
    features, outcomes = world_rows()
    publish(dev, "features", features, DAYS)
    publish(dev, "outcomes", outcomes, DAYS)
    crown(dev, contract=False)
    publish_day(dev, wild(FIRST), FIRST)

    with caplog.at_level(logging.WARNING, logger="imago.scoring.inputs"):
        summary = scoring.score(dev, toy, FIRST, LIVE)

    assert (summary["rows"], summary["input_checks"]) == (40, 0)
    assert "version 1 was trained before contracts were kept with models: inputs not checked" in caplog.text


def test_a_new_champion_answers_for_no_day_that_breaks_its_contract(reign, toy):
    publish_day(reign, wild(DAYS[-1]), DAYS[-1])
    with pytest.raises(RefusedPartition, match="gate: allowed values"):
        serving.deploy(reign, toy, LIVE)


def test_a_contract_reads_back_as_it_was_frozen(reign):
    from imago.training import snapshot

    (folder,) = {name.rsplit("/", 1)[0] for name in Storage(reign).list(f"snapshots/toy/{TRAINED}")}
    assert Contract.from_dict(snapshot.load(reign, folder).manifest["contract"]).digest == CONTRACT.digest
