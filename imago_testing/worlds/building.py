"""Building a world in an environment, by the very jobs that the DAGs call, as far as somebody needs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from imago.context import RunContext
from imago.days import days_between, shift
from imago.environments import Environment
from imago.specs import ModelSpec
from imago.tables import Table
from imago_testing.worlds.world import World

LIVE = RunContext(run_id="worlds", code_commit="worlds")
BACKFILL = replace(LIVE, mode="backfill")
TableName = Literal["features", "outcomes"]


@contextmanager
def hosting(models: str, project: Path) -> Iterator[None]:
    """Inside, this process hosts the models that `models` names (as IMAGO_MODELS) over a dbt project."""
    with variables(IMAGO_MODELS=models, IMAGO_DBT_PROJECT=str(project), IMAGO_HOME=str(project.parent / "home")):
        yield


@contextmanager
def variables(**values: str) -> Iterator[None]:
    """Inside, these variables of the process have these values."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass
class Built:
    """A world in an environment. Each method runs one stage and returns what its job said; `summaries` has the last of
    each. A stage needs those before it."""

    world: World
    env: Environment
    spec: ModelSpec
    summaries: dict[str, Any] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        """A published table of the world."""
        return Table(self.env, self.spec.name, name)

    def deliver(self, days: Iterable[str] | None = None) -> int:
        """Writes the raw files of these days, of all by default."""
        return self.world.deliver(self.env, days)

    def refresh(self, name: TableName, first: str, last: str, context: RunContext = LIVE) -> dict[str, Any]:
        """One range of a table through dbt, audit and commit."""
        from imago.jobs import features, outcomes

        job = {"features": features.refresh, "outcomes": outcomes.refresh}[name]
        return self._said(name, job(self.env, self.spec, first, last, context))

    def refresh_range(self, name: TableName, days: Iterable[str], context: RunContext = LIVE) -> None:
        """One run over these days, closed ones in between included."""
        days = sorted(days)
        self.refresh(name, days[0], days[-1], context)

    def refresh_all(self) -> None:
        """Both tables, all days."""
        self.refresh_range("features", self.world.days)
        self.refresh_range("outcomes", self.world.days)

    def train(self, ds: str, context: RunContext = LIVE) -> dict[str, Any]:
        """Freezes a snapshot, fits every contestant, and reports."""
        from imago.jobs import training

        frozen = training.freeze(self.env, self.spec, ds, context)
        fits = [training.fit(self.env, self.spec, frozen["snapshot"], name, context) for name in frozen["contestants"]]
        report = training.report(self.env, self.spec, ds, frozen["snapshot"], fits, context)
        return self._said("training", {**report, "frozen": frozen, "fits": fits})

    def judge(self, ds: str, context: RunContext = LIVE) -> dict[str, Any]:
        """The fair fight of a training; in an environment without approval the winner reigns."""
        from imago.jobs import deployment

        return self._said("deployment", deployment.judge(self.env, self.spec, ds, context))

    def score(self, days: Iterable[str], context: RunContext = LIVE, champion: str = "as-was") -> list[dict[str, Any]]:
        """Scores each day."""
        from imago.jobs import scoring

        return self._said("scores", [scoring.score(self.env, self.spec, ds, context, champion) for ds in days])

    def monitor(self, days: Iterable[str], context: RunContext = LIVE) -> list[dict[str, Any]]:
        """Drift and estimates of each day."""
        from imago.jobs import monitoring

        return self._said("monitoring", [monitoring.monitor(self.env, self.spec, ds, context) for ds in days])

    def measure(self, days: Iterable[str], context: RunContext = LIVE) -> list[dict[str, Any]]:
        """Metrics and money of each day."""
        from imago.jobs import metrics

        return self._said("metrics", [metrics.refresh(self.env, self.spec, ds, context) for ds in days])

    def _said(self, stage: str, told: Any) -> Any:
        self.summaries[stage] = told
        return told


STAGES = ("delivered", "refreshed", "trained", "promoted", "scored", "monitored", "measured")


def build(world: World, env: Environment, until: str = "measured", *, spec: ModelSpec | None = None) -> Built:
    """The world in an empty environment, up to a stage of `STAGES`: all days refreshed in one range a table, the first
    training, its champion, and the champion's first days scored, monitored and measured as a backfill."""
    built, wanted = Built(world, env, spec or world.spec), STAGES[: STAGES.index(until) + 1]
    ds, days = world.trainings[0], scored_days(world)
    steps: Mapping[str, Callable[[], object]] = {
        "delivered": built.deliver,
        "refreshed": built.refresh_all,
        "trained": lambda: built.train(ds),
        "promoted": lambda: built.judge(ds),
        "scored": lambda: built.score(days, BACKFILL),
        "monitored": lambda: built.monitor(days, BACKFILL),
        "measured": lambda: built.measure(days, BACKFILL),
    }
    for stage in wanted:
        steps[stage]()
    return built


def scored_days(world: World) -> tuple[str, ...]:
    """The first open days after the first training: those that `build` scores."""
    after = days_between(shift(world.trainings[0], 1), shift(world.trainings[0], 7))
    return tuple(ds for ds in after if ds in set(world.open_days))
