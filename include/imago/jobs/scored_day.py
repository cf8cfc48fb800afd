"""What the tasks of `batch_scoring` share: what a scoring of a day is bound to, the champion at work on it, and the
account of what came of it. One task does it all, or several do a part each (`scoring_parts`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import MissingPartition, RefusedPartition
from imago.specs import ModelSpec
from imago.specs.calendar import require_open

if TYPE_CHECKING:
    import pyarrow as pa

    from imago.ledger.champions import Champion
    from imago.monitoring.profiles import Profile
    from imago.monitoring.reference import Reference
    from imago.registry import Scorer
    from imago.scoring.judging import Tally
    from imago.scoring.predictions import Predictor
    from imago.tables.days import StoredDay


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What one scoring of a day is bound to, before anything is scored: its fence, the ledger entry of its champion and
    how that was chosen, and the features' version. JSON-able, so that the tasks of one run share it."""

    ds: str
    fence: int
    champion_id: int
    choice: str
    features: Mapping[str, Any]  # digest, version, rows, and the digest of the contract that they were audited against

    def as_dict(self) -> dict[str, Any]:
        """As an XCom holds it."""
        return asdict(self)


def assign(env: Environment, spec: ModelSpec, ds: str, choice: str, context: RunContext) -> tuple[Assignment, Champion]:
    """Binds a scoring of `ds`. Raises ClosedDay, MissingPartition, NoChampion."""
    from imago import ledger
    from imago.scoring.choice import choose
    from imago.tables import Table

    require_open(spec, ds, environment=env.name)
    predictions = Table(env, spec.name, "predictions")
    # Drawn before anything is read: whoever reads later holds the higher fence, so an attempt that slept cannot win.
    fence = predictions.draw_fence()
    info = Table(env, spec.name, "features").partition(ds)
    if info is None:
        raise _no_features(env, spec, ds)
    stored = predictions.partition(ds)
    with ledger.connect(env).connect() as connection:
        chosen = choose(connection, spec.name, ds, choice, stored.inputs if stored else None)
    features = {
        "digest": info.digest,
        "version": info.version,
        "rows": info.rows,
        "contract": info.inputs.get("contract"),
    }
    return Assignment(ds=ds, fence=fence, champion_id=chosen.id or 0, choice=choice, features=features), chosen


def champion_of(env: Environment, spec: ModelSpec, assignment: Assignment) -> Champion:
    """The champion that an assignment names."""
    from imago import ledger
    from imago.ledger import champions

    with ledger.connect(env).connect() as connection:
        return next(row for row in champions.history(connection, spec.name) if row.id == assignment.champion_id)


@dataclass(frozen=True)
class Scored:
    """What became of one batch."""

    rows: pa.RecordBatch | None
    tally: Tally
    profile: Profile | None
    decisions: Mapping[str, int]


@dataclass(frozen=True)
class DayScorer:
    """A champion at work on a day, batch by batch."""

    env: Environment
    spec: ModelSpec
    assignment: Assignment
    champion: Champion
    context: RunContext

    @cached_property
    def model(self) -> Scorer:
        from imago.registry import load_model

        return load_model(self.env, self.champion)

    @cached_property
    def predictor(self) -> Predictor:
        from imago.scoring.inputs import judge_of
        from imago.scoring.predictions import Predictor

        judge = judge_of(self.spec, self.model, self.champion.version)
        predictor = Predictor(self.spec, self.model, judge, self.champion.version)
        predictor.check()
        return predictor

    @cached_property
    def reference(self) -> Reference:
        from imago.jobs.monitoring import reference_of

        return reference_of(self.env, self.spec, self.champion, self.context)

    @property
    def where(self) -> dict[str, str]:
        """The facts of a refusal of the features."""
        return {
            "environment": self.env.name,
            "model": self.spec.name,
            "table": "features",
            "partition": self.assignment.ds,
        }

    @contextmanager
    def features(self) -> Iterator[StoredDay]:
        """The day's features, at the very version that the provenance names."""
        from imago.tables import Table

        texts = [feature.name for feature in self.spec.features if feature.kind == "categorical"]
        table = Table(self.env, self.spec.name, "features")
        known, key = self.assignment.features, self.spec.entity_keys
        with table.stream(
            self.assignment.ds, key=key, version=known["version"], dictionaries=texts, known=known
        ) as day:
            yield day

    def check(self, day: StoredDay) -> None:
        """Raises RefusedPartition when the day was published without a column that the champion was trained with."""
        from imago.scoring.inputs import check_stored

        check_stored(
            self.predictor.judge.features, day.stored, self.where, version=self.champion.version, rows=day.rows
        )

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the predictions."""
        from imago.tables import Table

        return self.predictor.schema(
            Table(self.env, self.spec.name, "features").schema(self.assignment.features["version"])
        )

    def scored(self, day: StoredDay, start: int = 0, stop: int | None = None) -> Iterator[Scored]:
        """The batches of the rows from `start` to before `stop`, in order; a day without rows is one empty batch."""
        from imago.scoring.predictions import BATCH_ROWS, empty
        from imago.scoring.stream import in_order, workers

        self.predictor, self.reference  # noqa: B018 - made here, before threads ask for them
        batches = day.batches(BATCH_ROWS, start=start, stop=stop) if day.rows else iter([empty(day.schema)])
        return in_order(self._scored, batches, workers())

    def _scored(self, features: pa.RecordBatch) -> Scored:
        from imago.monitoring.profiles import Profile
        from imago.monitoring.reference import profiled_columns

        answer = self.predictor.answer(features)
        if answer.rows is None:
            return Scored(None, answer.tally, None, {})
        told = dict(zip(answer.rows.schema.names, answer.rows.columns, strict=True))
        columns = profiled_columns(answer.features, self.reference.features, told)
        profile = Profile.of(columns, self.reference.profile)
        return Scored(answer.rows, answer.tally, profile, _counted(self.spec, answer.rows))

    def settle(self, tally: Tally) -> None:
        """Raises RefusedPartition for a day that may not be published."""
        from imago.scoring.inputs import settle

        published = {"contract": self.assignment.features["contract"]}
        settle(self.spec, self.model, tally, where=self.where, published=published, version=self.champion.version)

    def inputs(self, tally: Tally) -> dict[str, Any]:
        """The provenance of the day's predictions."""
        chosen, features = self.champion, self.assignment.features
        return {
            "champion_id": chosen.id,
            "champion_choice": self.assignment.choice,
            "model_version": chosen.version,
            "artifact_sha256": chosen.artifact_sha256,
            "features": {"digest": features["digest"], "version": features["version"]},
            "decision_threshold": self.spec.decision_threshold,
            "leaking": chosen.learned_from(self.assignment.ds),
            "bad_rows": {
                "policy": self.spec.scoring.bad_rows,
                "unseen": self.spec.scoring.unseen,
                "unscored": tally.nulled,
                "reasons": dict(sorted(tally.reasons.items())),
            },
        }


class Account:
    """What came of a day, added up batch by batch in their order."""

    def __init__(self, spec: ModelSpec) -> None:
        from imago.answers import decisions_of
        from imago.scoring.judging import Tally

        self.tally = Tally()
        self.profile: Profile | None = None
        self.decisions = dict.fromkeys(decisions_of(spec), 0)

    def add(self, tally: Tally, profile: Profile | None, decisions: Mapping[str, int]) -> None:
        """Takes in the next batch."""
        from imago.monitoring.profiles import Profile

        self.tally = self.tally.plus(tally)
        if profile is not None:
            self.profile = profile if self.profile is None else Profile.merge([self.profile, profile])
        for name, rows in decisions.items():
            self.decisions[name] += rows

    def rows(self, scored: Iterable[Scored]) -> Iterator[pa.RecordBatch]:
        """The predictions of the batches, which are added as they pass."""
        for one in scored:
            self.add(one.tally, one.profile, one.decisions)
            if one.rows is not None:
                yield one.rows


@contextmanager
def telling(env: Environment, spec: ModelSpec, ds: str, context: RunContext) -> Iterator[None]:
    """Raises the one alert of a refusal on its way out."""
    try:
        yield
    except RefusedPartition as refusal:
        _tell_refused(env, spec, ds, refusal, context)
        raise


def _counted(spec: ModelSpec, rows: pa.RecordBatch) -> dict[str, int]:
    """How often each decision was made; empty for a regression, which makes none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from imago.answers import decisions_of

    if not decisions_of(spec):
        return {}
    counted = pc.value_counts(rows.column("decision").drop_null()).to_pylist()
    found = {str(pa.scalar(entry["values"]).cast(pa.string())): entry["counts"] for entry in counted}
    return {name: found.get(name, 0) for name in decisions_of(spec)}


def _no_features(env: Environment, spec: ModelSpec, ds: str) -> MissingPartition:
    """Why there are no features to score: they were refused, or nobody made them."""
    from imago import ledger
    from imago.alerts.outbox import last_title

    with ledger.connect(env).connect() as connection:
        refused = last_title(connection, spec.name, "partition_refused", "features", ds)
    why = f" ({refused})" if refused else ""
    return MissingPartition(
        f"the features of {ds} are not published, and no other day stands in for them{why}",
        environment=env.name,
        model=spec.name,
        table="features",
        partition=ds,
        next_step="mend what was refused and run feature_refresh for that day again; scoring tries again by itself"
        if refused
        else "run feature_refresh for that day, then batch_scoring again",
    )


def _tell_refused(env: Environment, spec: ModelSpec, ds: str, refusal: RefusedPartition, context: RunContext) -> None:
    from imago import ledger
    from imago.alerts.outbox import Alert, raise_alert

    with ledger.connect(env).begin() as connection:
        raise_alert(
            connection,
            Alert(
                model=spec.name,
                rule="prediction_refused",
                subject="predictions",
                title=f"Predictions of {ds} were refused: {refusal.message}",
                why="Whoever reads predictions finds the day's previous partition, or none.",
                did="Nothing was published; the run failed.",
                next_step=refusal.next_step,
                ds=ds,
                facts=refusal.facts,
            ),
            context,
        )
