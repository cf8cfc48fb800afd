"""The world of the proof: real flights, and three champions that were really fitted on them.

It is built once, in a base environment. Each part then has environments of its own, on a folder or on S3, which are
furnished from the base: some days of features, the champions' files, and rows in the ledger.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imago import ledger
from imago.context import RunContext
from imago.days import days_between
from imago.environments import Environment
from imago.ledger import champions
from imago.ledger.champions import Champion
from imago.specs import ModelSpec
from imago.storage import Storage
from imago.tables import Table
from proofs import flights

SPEC: ModelSpec = flights.SPEC.model_copy(
    update={"training": flights.SPEC.training.model_copy(update={"tuning_days": 0, "holdout_days": 7})}
)
KEY = SPEC.entity_keys
CONTEXT = RunContext(run_id="proof", code_commit="proof")
BACKFILL = replace(CONTEXT, mode="backfill")
FIRST = "2013-03-01"  # the first day that is scored


@dataclass(frozen=True)
class Plan:
    """How many days there are to score, and the trainings that the champions come from."""

    last: str
    trainings: tuple[str, ...]

    @property
    def days(self) -> tuple[str, ...]:
        """The days that have a champion and features."""
        return days_between(FIRST, self.last)


PLANS = {
    "small": Plan("2013-03-12", ("2013-02-28", "2013-03-04", "2013-03-08")),
    "full": Plan("2013-04-29", ("2013-02-28", "2013-03-20", "2013-04-09")),
}
_CANDIDATES = ("logistic_regression", "gradient_boosting", "random_forest")


@dataclass(frozen=True)
class Reign:
    """A fitted model that can be crowned: its folders in the base environment, and what the ledger says of it."""

    version: str
    folder: str
    snapshot: str
    training_ds: str
    trained_until: str
    effective_ds: str
    artifact: Mapping[str, Any]


@dataclass(frozen=True)
class World:
    """What all parts are furnished from. It is handed to their processes as it is."""

    home: Path
    base: Environment
    plan: Plan
    reigns: tuple[Reign, ...] = field(default=())

    def features(self, days: Iterable[str]) -> pa.Table:
        """The features of these days, from the file that was kept."""
        table = flights.table(self.home, "features")
        return table.filter(pc.is_in(table.column("ds"), pa.array(list(days))))

    def furnish(self, env: Environment, days: Iterable[str], *, reigns: int | None = None) -> None:
        """Publishes the features of these days, and crowns the first `reigns` champions (all of them when None)."""
        days = list(days)
        publish(env, self.features(days))
        for reign in self.reigns[:reigns]:
            self.crown(env, reign)

    def crown(self, env: Environment, reign: Reign, **changes: Any) -> Champion:
        """Copies the champion's files, and appends its row to the ledger; `changes` are of the row."""
        self.copy(env, reign.folder)
        self.copy(env, f"models/{SPEC.name}/references/{reign.artifact['artifact_sha256']}")
        return crown(env, reign, artifact_uri=Storage(env).uri(reign.folder), **changes)

    def copy(self, env: Environment, folder: str) -> None:
        """Copies a folder of the base environment."""
        here, there = Storage(self.base), Storage(env)
        for name in here.list(folder):
            there.write_bytes(name, here.read_bytes(name))


def build(url: str, home: Path, size: str) -> World:
    """Flights through dbt, three fits, three saved models with their references for drift."""
    from imago.dbt import contract_of

    plan = PLANS[size]
    base = flights.build(url, home, plan.last)
    contract = contract_of(SPEC.feature_model, base.dbt_target)
    reigns = tuple(_fitted(base, str(place), ds, _CANDIDATES[place - 1], contract)
                   for place, ds in enumerate(plan.trainings, start=1))  # fmt: skip
    return World(home, base, plan, reigns)


def _fitted(env: Environment, version: str, ds: str, candidate: str, contract: Any) -> Reign:
    from imago.jobs import monitoring
    from imago.registry import save
    from imago.training import fitting, snapshot

    frozen = snapshot.freeze(env, SPEC, ds, contract=contract, run_id="proof")
    one = fitting.contestant(SPEC, candidate).model_copy(update={"search": None})
    fitted = fitting.fit(SPEC, frozen, one)
    folder = f"mlflow/{SPEC.name}/{version}/model"
    artifact = save(
        env,
        folder,
        fitted.pipeline,
        features=[(feature.name, feature.kind) for feature in SPEC.features],
        problem=SPEC.problem,
        columns=fitted.columns,
        scores=fitted.scores,
        facts={
            "snapshot": frozen.folder,
            "trained_until": frozen.cut.trained_until,
            "contract": frozen.manifest["contract"],
        },
    )
    cut = frozen.cut
    reign = Reign(version, folder, frozen.folder, ds, cut.trained_until, cut.effective_ds, artifact.as_dict())
    monitoring.write_reference(env, SPEC, crown(env, reign), CONTEXT)
    return reign


def crown(env: Environment, reign: Reign, **changes: Any) -> Champion:
    """Appends a row to the ledger: decided a day after the one before, as the replayed year goes on."""
    with ledger.connect(env).begin() as connection:
        before = champions.reigning(connection, SPEC.name)
        entry = Champion(
            model=SPEC.name,
            action="promote",
            version=reign.version,
            run_id=f"run-{reign.version}",
            training_ds=reign.training_ds,
            trained_until=reign.trained_until,
            effective_ds=reign.effective_ds,
            decided_at=before.decided_at + timedelta(days=1) if before else datetime(2013, 1, 1, tzinfo=UTC),
            decided_by="proof",
            decision_id=None,
            reason="the proof says so",
            **reign.artifact,
        )
        return champions.crown(connection, replace(entry, **changes), expected=before.id if before else None)


def publish(env: Environment, rows: pa.Table) -> None:
    """Publishes features, each day as a whole."""
    flights.publish(env, "features", rows)


def corrected(rows: pa.Table, by: float) -> pa.Table:
    """The same flights in other weather: what a late correction of the raw files would bring."""
    place = rows.column_names.index("temperature_f")
    return rows.set_column(place, rows.field(place), pc.add(rows.column(place), pa.scalar(by, rows.field(place).type)))


def table(env: Environment, name: str = "predictions") -> Table:
    """A published table of the model."""
    return Table(env, SPEC.name, name)


def keep(world: World) -> None:
    """Writes the world down, for the processes that did not build it."""
    (world.home / "world.pickle").write_bytes(pickle.dumps(world))


def kept(home: str | Path) -> World:
    """The world that was written down."""
    found: World = pickle.loads((Path(home) / "world.pickle").read_bytes())
    return found
