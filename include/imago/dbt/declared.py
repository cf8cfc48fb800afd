"""Whether a model's dbt contracts fit its spec: asked before any row is made, by each refresh and `imago doctor`."""

from __future__ import annotations

import difflib

from imago.contracts import Contract
from imago.contracts.contract import NUMERIC, TYPES
from imago.dbt.contracts import contract_of
from imago.environments import Environment
from imago.errors import SpecError
from imago.specs import ModelSpec

_METRIC_KEYS = ("ds", "slice")


def check_contracts(env: Environment, spec: ModelSpec) -> str:
    """Refuses (SpecError) contracts that do not fit the spec; names the dbt models that do."""
    features, outcomes = (
        contract_of(spec.feature_model, env.dbt_target),
        contract_of(spec.outcome_model, env.dbt_target),
    )
    check_features(env, spec, features)
    check_outcomes(env, spec, outcomes)
    check_apart(env, spec, features, outcomes)
    check_metrics(env, spec)
    models = [spec.feature_model, spec.outcome_model, *([spec.metrics_model] if spec.metrics_model else [])]
    return f"{', '.join(models)} are as the spec says"


def check_features(env: Environment, spec: ModelSpec, contract: Contract) -> None:
    """A feature or a key that the feature model does not promise, or another column that it does."""
    keys = (*spec.entity_keys, "ds", spec.event_time)
    for column in sorted(set(contract.names) ^ {*keys, *spec.feature_names}):
        in_contract = column in contract.names
        has, lacks = ("dbt contract", "spec") if in_contract else ("spec", "dbt contract")
        step = (
            f"add Feature(name={column!r}, ...) to the spec, or take the column out of {contract.model}.yml and .sql"
            if in_contract
            else f"add the column to {contract.model}.yml and .sql, or take the feature out of the spec"
        )
        raise _refusal(
            env, spec, contract, column,
            f"the column {column} stands in the {has} but not in the {lacks}",
            rule="the spec's features are the contract's columns",
            allowed="the spec's keys and features, and no other",
            next_step=f"{step}; then run feature_refresh of the day again",
        )  # fmt: skip


def check_outcomes(env: Environment, spec: ModelSpec, contract: Contract) -> None:
    """A key or the label that the outcome model does not promise."""
    for column in (*spec.entity_keys, "ds", spec.label):
        if column not in contract.names:
            raise _refusal(
                env, spec, contract, column,
                f"the spec's column {column} is not in the contract of {contract.model}",
                rule="the outcome model holds the spec's keys and label",
                allowed=", ".join(contract.names),
                next_step=f"add {column} to {contract.model}.sql and {contract.model}.yml, or name another in the spec",
            )  # fmt: skip


def check_apart(env: Environment, spec: ModelSpec, features: Contract, outcomes: Contract) -> None:
    """A feature of the spec whose name an outcome column has too: nobody can tell from a name which of them is meant,
    and a feature that is made from the outcome would be a leak."""
    keys = {*spec.entity_keys, "ds", spec.event_time}
    for column in features.names:
        if column in outcomes.names and column not in keys and column in spec.feature_names:
            raise _refusal(
                env, spec, features, column,
                f"the feature {column} and a column of the outcomes have the same name",
                rule="features and outcomes share the keys alone",
                allowed=f"the name {column} in one of {features.model} and {outcomes.model}",
                next_step=f"if {column} is known at prediction time, rename it in {outcomes.model}.sql and "
                f"{outcomes.model}.yml (as outcome_{column}), or leave it out there; if it is known only afterwards, "
                f"it is a leak: take it out of {features.model}.sql, {features.model}.yml and the spec's features",
            )  # fmt: skip


def check_metrics(env: Environment, spec: ModelSpec) -> None:
    """A metrics model whose rows would not say which day, which slice, or what the decisions were worth."""
    if spec.metrics_model is not None:
        check_metrics_contract(env, spec, contract_of(spec.metrics_model, env.dbt_target))


def check_metrics_contract(env: Environment, spec: ModelSpec, contract: Contract) -> None:
    """As `check_metrics`, of the contract in hand."""
    for column in _METRIC_KEYS:
        if column not in contract.names:
            raise _refusal(
                env, spec, contract, column,
                f"the metrics model {contract.model} has no column {column}",
                rule="a metrics model has a row for each day and slice",
                allowed="the columns ds and slice, and numbers",
                next_step=f"add {column} to {contract.model}.sql and {contract.model}.yml",
            )  # fmt: skip
    if spec.business is None:
        return
    value, numbers = spec.business.column, metric_columns(contract)
    if value not in numbers:
        near = (
            difflib.get_close_matches(value, numbers, n=1) or [name for name in numbers if "value" in name] or numbers
        )
        named = f'BusinessMetric(column="{near[0]}")' if near else "BusinessMetric(column=...)"
        text = "is no number" if value in contract.names else "is not there"
        raise _refusal(
            env, spec, contract, value,
            f"the column {value} of the metrics model {contract.model}, which the spec's business metric reads, {text}",
            rule="the metrics model holds the business value",
            allowed=", ".join(numbers) or "a column that is a number",
            next_step=f"name the column that holds it in the spec of {spec.name}, as {named}, or call it {value} in "
            f"{contract.model}.sql and {contract.model}.yml",
        )  # fmt: skip


def metric_columns(contract: Contract) -> tuple[str, ...]:
    """The columns of a metrics model that are numbers."""
    others = TYPES - NUMERIC
    return tuple(
        column.name
        for column in contract.columns
        if column.name not in _METRIC_KEYS and column.data_type.lower() not in (*others, "text", "date")
    )


def _refusal(
    env: Environment, spec: ModelSpec, contract: Contract, column: str, message: str,
    *, rule: str, allowed: str, next_step: str,
) -> SpecError:  # fmt: skip
    return SpecError(
        message,
        environment=env.name,
        model=spec.name,
        table=contract.model,
        column=column,
        rule=rule,
        allowed=allowed,
        seen=", ".join(contract.names),
        next_step=next_step,
    )
