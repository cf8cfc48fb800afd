"""The input check before a champion scores: against the contract that was frozen when it was trained."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from imago.contracts.inputs import check_inputs
from imago.errors import RefusedPartition
from imago.registry import Scorer
from imago.specs import ModelSpec

log = logging.getLogger(__name__)


def check_day(
    spec: ModelSpec,
    scorer: Scorer,
    features: pa.Table,
    *,
    where: Mapping[str, str],
    published: Mapping[str, Any],
    version: str,
) -> int:
    """Checks one day's published features against the champion's own contract; returns how many rules were checked.

    `published` are the inputs of the partition's publication, which hold the digest of the contract that it was
    audited against; `version` is the champion's. A model from before contracts were frozen is let through, with a line
    in the log. Raises RefusedPartition with `where`, column, rule and rows; also when a feature of the spec is missing
    that this champion does not read, since the day's profile is made of all of them.
    """  # fmt: skip
    contract = scorer.contract
    if contract is None:
        log.warning("version %s was trained before contracts were kept with models: inputs not checked", version)
        _check_declared(spec, features, where)
        return 0
    found = check_inputs(contract, features, [name for name, _ in scorer.features], where)
    if not found.broken:
        _check_declared(spec, features, where)
        log.info("inputs checked: %s rules over %s rows, none broken", found.checks, found.rows)
        return found.checks
    audited = published.get("contract")
    if audited is not None and audited != contract.digest:
        step = (
            f"{contract.model}.yml moved since version {version} was trained: train again under the contract of today, "
            "or score with a champion that was; where the contract moved by mistake, restore it and refresh the day"
        )
    else:
        step = f"look at the day's features, and run feature_refresh again: {contract.model} promised otherwise"
    raise found.refusal(f"the features do not keep the contract that version {version} was trained under", step)


def _check_declared(spec: ModelSpec, features: pa.Table, where: Mapping[str, str]) -> None:
    missing = [name for name in spec.feature_names if name not in features.column_names]
    if missing:
        raise RefusedPartition(
            f"the published features lack {', '.join(missing)}",
            **where,  # type: ignore[arg-type]
            column=missing[0],
            rule="the spec's features",
            next_step="run feature_refresh for that day with the dbt model of today",
        )
