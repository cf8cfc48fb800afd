"""What a day's features have to be before a champion answers for them, and the refusals where they are not."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from imago.contracts.inputs import Broken, InputCheck
from imago.errors import RefusedPartition
from imago.registry import Scorer
from imago.scoring.judging import FINITE, NO_ANSWER, NO_ANSWER_MISSING, NO_ANSWER_UNSEEN, UNSEEN, Fault, Judge, Tally
from imago.specs import ModelSpec

log = logging.getLogger(__name__)
_CURES = {
    NO_ANSWER_MISSING: "a SimpleImputer before it, or gradient boosting",
    NO_ANSWER_UNSEEN: 'OneHotEncoder(handle_unknown="ignore"), or OrdinalEncoder(handle_unknown="use_encoded_value", '
    "unknown_value=-1)",
}


def judge_of(spec: ModelSpec, scorer: Scorer, version: str) -> Judge:
    """By what the rows are judged that this champion scores. A model from before contracts were frozen is let through,
    with a line in the log."""
    if scorer.contract is None:
        log.warning("version %s was trained before contracts were kept with models: inputs not checked", version)
    names = tuple(name for name, _ in scorer.features)
    numbers = tuple(name for name, kind in scorer.features if kind == "numeric")
    return Judge(spec.scoring, scorer.contract, names, scorer.card.get("categories", {}), scorer.answers, numbers)


def settle(
    spec: ModelSpec,
    scorer: Scorer,
    tally: Tally,
    *,
    where: Mapping[str, str],
    published: Mapping[str, Any],
    version: str,
) -> None:
    """Raises RefusedPartition, with `where`, column, rule and rows, for a day in which a rule is broken that stops it,
    or in which more rows are bad than the spec allows.

    `published` are the inputs of the features' publication, which hold the digest of the contract that they were
    audited against; `version` is the champion's.
    """
    stopping = [fault for fault in tally.faults if fault.policy == "stop"]
    if stopping:
        raise _stopped(spec, scorer, tally, stopping, where, published, version)
    most = spec.scoring.max_bad_rate
    if tally.bad > most * tally.rows:
        worst = max((fault for fault in tally.faults if fault.rule != UNSEEN or fault.policy == "null"),
                    key=lambda fault: fault.rows)  # fmt: skip
        told = ", ".join(f"{reason} {rows}" for reason, rows in sorted(tally.reasons.items(), key=lambda one: -one[1]))
        raise RefusedPartition(
            f"{tally.bad} of {tally.rows} rows are bad ({tally.bad / tally.rows:.2%}): {told}",
            **where,
            column=worst.column,
            rule=f"{worst.rule}; bad rows at most",
            allowed=f"{most:.2%} of the day's rows",
            seen=worst.seen,
            rows=tally.bad,
            next_step="mend the features and run feature_refresh again, or raise `scoring.max_bad_rate` in the spec",
        )


def check_stored(
    features: Iterable[str], stored: Collection[str], where: Mapping[str, str], *, version: str, rows: int
) -> None:
    """Raises RefusedPartition when a day was published without a column that version `version` was trained with: it had
    not joined the table yet, or it has left. The model would take it for missing in every row. Columns that the
    champion does not know are not looked at."""
    lacking = [name for name in features if name not in stored]
    if lacking:
        others = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        model, ds, env = where["model"], where["partition"], where["environment"]
        raise RefusedPartition(
            f"version {version} was trained with {lacking[0]}{others}, which the features of {ds} do not have",
            **where,
            column=lacking[0],
            rule="all of the contract's columns",
            allowed=", ".join(lacking),
            seen="no such column",
            rows=rows,
            next_step=f"bring the column back and run `imago run feature_refresh {model} --ds {ds} --env {env}`; where "
            f"it left for good, train a champion without it: `imago run training {model} --ds {ds} --env {env}`",
        )


def no_scores(where: Mapping[str, str], lost: int, rows: int, seen: str | None = None) -> RefusedPartition:
    """The refusal of a day for which the model gave something else than numbers; `seen` says what they come from."""
    return RefusedPartition(
        f"the model gave no finite score for {lost} of {rows} rows",
        **{**where, "table": "predictions"},
        column="score",
        rule=FINITE,
        seen=seen,
        rows=lost,
        next_step="look for infinite, missing or new values in the day's features, publish such rows without a score "
        '(`scoring=Scoring(bad_rows="null")` in the spec), or score with another champion',
    )


def _stopped(
    spec: ModelSpec,
    scorer: Scorer,
    tally: Tally,
    stopping: list[Fault],
    where: Mapping[str, str],
    published: Mapping[str, Any],
    version: str,
) -> RefusedPartition:
    first = stopping[0]
    if first.rule == FINITE:
        return no_scores(where, first.rows, tally.rows, first.seen)
    found = InputCheck(
        where=dict(where),
        rows=tally.rows,
        checks=tally.checks,
        broken=tuple(
            Broken(column=one.column, rule=one.rule, allowed=one.allowed, seen=one.seen, rows=one.rows)
            for one in stopping
        ),
    )
    if first.rule == UNSEEN:
        return found.refusal(
            f"rows hold what version {version} never saw in training",
            "train again with these categories, or let `scoring.unseen` in the spec be `null` or `score`",
        )
    if first.rule in NO_ANSWER:
        field = "unseen" if first.rule == NO_ANSWER_UNSEEN else "bad_rows"
        again = f"then `imago run batch_scoring {spec.name} --ds {where.get('partition')}`"
        return found.refusal(
            f"rows hold what version {version} cannot answer",
            f'publish them without a score (`scoring=Scoring({field}="null")` in the spec), or train a model that '
            f"answers them ({_CURES.get(first.rule, 'a smaller unit in the dbt model')}), {again}",
        )
    contract = scorer.contract
    assert contract is not None
    audited = published.get("contract")
    if audited is not None and audited != contract.digest:
        step = (
            f"{contract.model}.yml moved since version {version} was trained: train again under the contract of today, "
            "or score with a champion that was; where the contract moved by mistake, restore it and refresh the day"
        )
    else:
        step = f"look at the day's features, and run feature_refresh again: {contract.model} promised otherwise"
    return found.refusal(f"the features do not keep the contract that version {version} was trained under", step)
