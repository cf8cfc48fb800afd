"""Bad rows: which rows of a batch are bad, by which rule, and what the spec's policy makes of them.

A `Judge` looks at each batch; what it finds is added up batch by batch in a `Tally`, small enough to travel between
tasks; `settled` refuses the day, or lets it be published.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imago.contracts import Contract
from imago.contracts.inputs import Broken, as_promised, check_inputs, not_among
from imago.registry.answering import LARGEST_FLOAT, Answers
from imago.registry.inputs import LARGEST_WHOLE, inexact
from imago.specs import Scoring
from imago.specs.scoring import Policy

UNSEEN = "seen in training"
FINITE = "finite scores"
# What the model itself cannot answer: such a row has no score, whatever the policy.
NO_ANSWER_MISSING = "the model answers missing values"
NO_ANSWER_UNSEEN = "the model answers new categories"
NO_ANSWER_SIZE = "the model answers numbers of this size"
NO_ANSWER = frozenset({NO_ANSWER_MISSING, NO_ANSWER_UNSEEN, NO_ANSWER_SIZE})
# The code of a broken rule, before the column's name: what stands in `reason`.
CODES = {
    "not null": "missing",
    "allowed values": "unseen",
    UNSEEN: "unseen",
    "pattern": "pattern",
    "range": "range",
    NO_ANSWER_MISSING: "missing",
    NO_ANSWER_UNSEEN: "unseen",
    NO_ANSWER_SIZE: "range",
    FINITE: "not_finite",
}
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One broken rule: by how many rows, and what became of them. `whole` where a column as such is at fault."""

    column: str | None
    rule: str
    allowed: str
    seen: str
    rows: int
    policy: Policy
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What was found in batches of a day: `rows` in all; `bad` ones, which count against the spec's rate; `nulled`
    ones, without a score; each reason's rows; the broken rules; how many rules were looked at."""

    rows: int = 0
    bad: int = 0
    nulled: int = 0
    checks: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether the day is refused, whatever its other rows hold."""
        return any(fault.policy == "stop" for fault in self.faults)

    def plus(self, other: Tally) -> Tally:
        """The two together; of a rule that both found broken, what the first saw stands for both."""
        faults = {(fault.column, fault.rule): fault for fault in self.faults}
        for fault in other.faults:
            place = (fault.column, fault.rule)
            faults[place] = replace(faults[place], rows=faults[place].rows + fault.rows) if place in faults else fault
        reasons = dict(self.reasons)
        for reason, rows in other.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + rows
        return Tally(
            rows=self.rows + other.rows,
            bad=self.bad + other.bad,
            nulled=self.nulled + other.nulled,
            checks=max(self.checks, other.checks),
            reasons=reasons,
            faults=tuple(faults.values()),
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Tally:
        """The tally that `as_dict` gave."""
        return cls(**{**data, "faults": tuple(Fault(**fault) for fault in data["faults"])})


@dataclass(frozen=True)
class Verdict:
    """Of one batch: its tally; the code of each bad row's first broken rule (None: no row is bad); which rows get no
    score (None: all get one)."""

    tally: Tally
    reasons: pa.Array | None = None
    nulled: pa.BooleanArray | None = None


@dataclass(frozen=True)
class Judge:
    """By what rows are judged: the spec's policy; the champion's contract (None for a model of before contracts were
    kept), the inputs that it holds for, the categories of the champion's training, by column, what the champion cannot
    answer, and which of its inputs are numbers."""

    policy: Scoring
    contract: Contract | None
    features: tuple[str, ...]
    categories: Mapping[str, Collection[str]] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    numbers: tuple[str, ...] = ()

    @cached_property
    def personal(self) -> frozenset[str]:
        """The columns whose values are never quoted."""
        columns = self.contract.columns if self.contract is not None else ()
        return frozenset(column.name for column in columns if column.personal)

    def as_trained(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with each input in the type that the champion was trained with, where its values are the same."""
        return rows if self.contract is None else as_promised(self.contract, rows, self.features)

    def look(self, rows: pa.RecordBatch) -> tuple[int, list[Broken]]:
        """(how many rules of the contract were looked at, the rules that rows break before they are scored)."""
        if self.contract is None:
            return 0, [*self._unseen(rows), *self._unanswered(rows)]
        found = check_inputs(self.contract, rows, self.features, {})
        # A day that was published empty is scored empty: whether it may be is its audit's question.
        broken = [one for one in found.broken if rows.num_rows or one.column is not None]
        if any(one.mask is None for one in broken):  # the day is refused, and no value of such a column is sure
            return found.checks, broken
        return found.checks, [*broken, *self._unseen(rows), *self._unanswered(rows)]

    def _unseen(self, rows: pa.RecordBatch) -> Iterator[Broken]:
        for name, known in self.categories.items():
            if name not in rows.schema.names:
                continue
            strange = not_among(rows.column(name), known)
            count = pc.sum(strange).as_py() or 0
            if count:
                some = pc.unique(rows.column(name).filter(strange)).to_pylist()[:_SHOWN]
                yield Broken(column=name, rule=UNSEEN, allowed="the categories of the training",
                             seen=", ".join(map(repr, some)), rows=count, mask=strange)  # fmt: skip

    def _unanswered(self, rows: pa.RecordBatch) -> Iterator[Broken]:
        answers = self.answers
        for name in self.features:
            if name not in rows.schema.names:
                continue
            column, number, personal = rows.column(name), name in self.numbers, name in self.personal
            if name in answers.missing:
                gone = pc.is_null(column, nan_is_null=True)
                if not number:
                    gone = pc.or_(gone, pc.fill_null(pc.equal(_texts(column), ""), False))
                yield from _broken(name, NO_ANSWER_MISSING, "a value", gone, column, personal)
            if name in answers.unseen:
                strange = pc.and_(not_among(_texts(column), answers.known[name]), pc.not_equal(_texts(column), ""))
                yield from _broken(
                    name, NO_ANSWER_UNSEEN, _listed(answers.known[name], personal), strange, column, personal
                )
            if number:
                yield from _broken(name, NO_ANSWER_SIZE, *_sizes(name, column, answers), column, personal)

    def unanswered(self, broken: list[Broken]) -> np.ndarray | None:
        """The rows that the model is not asked for; None when there is none."""
        masks = [
            one.mask.to_numpy(zero_copy_only=False) for one in broken if one.mask is not None and one.rule in NO_ANSWER
        ]
        return np.logical_or.reduce(masks) if masks else None

    def stops(self, broken: list[Broken]) -> bool:
        """Whether the day is refused, whatever its other rows hold."""
        return any(self._policy(one) == "stop" for one in broken)

    def verdict(self, rows: int, checks: int, broken: list[Broken]) -> Verdict:
        """What becomes of a batch of so many rows, of which `look` found `checks` and, with `not_finite`, `broken`."""
        if not broken:
            return Verdict(Tally(rows=rows, checks=checks))
        rowwise = [one for one in broken if one.mask is not None]
        nulled = [one for one in rowwise if self._policy(one) == "null"]
        bad = [one for one in rowwise if one.rule != UNSEEN or self._policy(one) == "null"]
        codes = [pc.if_else(one.mask, _code(one), pa.scalar(None, pa.string())) for one in rowwise]
        reasons = pc.coalesce(*codes) if codes else None
        counted = [] if reasons is None else pc.value_counts(reasons.drop_null()).to_pylist()
        tally = Tally(
            rows=rows,
            bad=_count(bad),
            nulled=_count(nulled),
            checks=checks,
            reasons={entry["values"]: entry["counts"] for entry in counted},
            faults=tuple(
                Fault(column=one.column, rule=one.rule, allowed=one.allowed, seen=one.seen, rows=one.rows,
                      policy=self._policy(one), whole=one.mask is None)
                for one in broken
            ),
        )  # fmt: skip
        return Verdict(tally, reasons, _any(nulled))

    def _policy(self, one: Broken) -> Policy:
        if one.mask is None:
            return "stop"
        if one.rule in NO_ANSWER or one.rule == FINITE:
            # There is no score that could be published.
            policies = {self.policy.bad_rows, self.policy.unseen if one.rule == NO_ANSWER_UNSEEN else "stop"}
            return "null" if "null" in policies else "stop"
        return self.policy.unseen if one.rule == UNSEEN else self.policy.bad_rows


def not_finite(scores: np.ndarray, unanswered: np.ndarray | None = None) -> list[Broken]:
    """The rule that scores are numbers, when one is not, of a row that the model was asked for."""
    lost = ~(np.isfinite(scores) if scores.ndim == 1 else np.isfinite(scores).all(axis=1))
    if unanswered is not None:
        lost &= ~unanswered
    count = int(np.count_nonzero(lost))
    if not count:
        return []
    return [
        Broken(column="score", rule=FINITE, allowed="a number", seen="NaN or infinite", rows=count, mask=pa.array(lost))
    ]


def _texts(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string())


def _sizes(name: str, column: pa.Array, answers: Answers) -> tuple[str, pa.Array]:
    """What is allowed, and the rows of which the number is too large for the model, or for a double."""
    beyond = inexact(column)
    if beyond is not None:
        return f"whole numbers from -{LARGEST_WHOLE} to {LARGEST_WHOLE}", beyond
    if not pa.types.is_floating(column.type) or name not in (answers.infinite | answers.huge):
        return "", pa.array([], pa.bool_())
    values = np.abs(column.to_numpy(zero_copy_only=False))
    largest = LARGEST_FLOAT if name in answers.huge else np.finfo(np.float64).max
    if not np.fmax.reduce(values, initial=0.0) > largest:
        return "", pa.array([], pa.bool_())
    infinite = name in answers.infinite
    return f"numbers up to {largest:.4g}", pa.array((values > largest) & (np.isfinite(values) | infinite))


def _broken(name: str, rule: str, allowed: str, mask: pa.Array, column: pa.Array, personal: bool) -> Iterator[Broken]:
    mask = pc.fill_null(mask, False)
    count = pc.sum(mask).as_py() or 0
    if count:
        values = pc.unique(column.filter(mask)).to_pylist()
        some = ", ".join("missing" if value is None else repr(value)[:80] for value in values[:_SHOWN])
        seen = "not shown: the column is personal" if personal else some
        yield Broken(column=name, rule=rule, allowed=allowed, seen=seen, rows=count, mask=mask)


def _listed(texts: Collection[str], personal: bool) -> str:
    if personal:
        return "the categories of the training"
    some = sorted(texts)
    return ", ".join(some[:20]) + (", ..." if len(some) > 20 else "")


def _code(one: Broken) -> str:
    return f"{CODES.get(one.rule, one.rule)}:{one.column}"


def _any(broken: list[Broken]) -> pa.BooleanArray | None:
    """True for each row that breaks one of these rules."""
    return reduce(pc.or_, (one.mask for one in broken)) if broken else None


def _count(broken: list[Broken]) -> int:
    return pc.sum(_any(broken)).as_py() if broken else 0
