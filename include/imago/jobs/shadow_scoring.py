"""The task of `shadow_scoring`: challengers score the rows that the champion scored, where nobody acts on it.

It reads what is published and writes to the two tables of the shadow only, so nothing that counts can be touched.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError, MissingPartition, ShadowFailed
from imago.jobs.shadows import RULE, subject_of
from imago.specs import ModelSpec
from imago.specs.calendar import require_open

if TYPE_CHECKING:
    import pyarrow as pa

    from imago.ledger.shadows import Shadow
    from imago.tables.delta import PartitionInfo

log = logging.getLogger(__name__)


def score(env: Environment, spec: ModelSpec, ds: str, context: RunContext) -> dict[str, Any]:
    """Scores `ds` with every version that shadows, in one partition, and compares each with the champion.

    They get the very features that the champion's partition was made from, and decide at its threshold. Without a
    shadow: {"skipped": reason}. A version that breaks does not stop the others: they are published, one warning names
    it, and then ShadowFailed is raised. Raises MissingPartition when nobody has scored the day.
    """
    from imago import ledger
    from imago.jobs import shadow_metrics
    from imago.ledger import shadows
    from imago.selection.shadow.choice import choose
    from imago.tables import Table

    require_open(spec, ds, environment=env.name)
    table = Table(env, spec.name, "shadow_predictions")
    # Drawn before anything is read: whoever reads later holds the higher fence.
    fence = table.draw_fence()
    stored = table.partition(ds)
    held = stored.inputs["shadows"] if stored is not None else {}
    with ledger.connect(env).connect() as connection:
        standing = shadows.standing(connection, spec.name)
        recorded = shadows.with_numbers(connection, spec.name, [one["shadow"] for one in held.values()])
    if not standing and not recorded:
        return {"ds": ds, "skipped": f"no version of {spec.name} shadows (`imago shadow start` lets one)"}
    champion = _champion(env, spec, ds)
    if not champion.rows:
        return {"ds": ds, "skipped": f"{ds} was published empty: there is nothing to score"}
    wanted, passed_over = choose(standing, recorded.values(), ds, champion.inputs["model_version"])
    if not wanted:
        return {"ds": ds, "skipped": "; ".join(passed_over.values())}
    round_ = _Round(env, spec, ds, champion, stored)
    for shadow in wanted:
        round_.take(shadow, stands=shadow in standing)
    if round_.rows:
        published = table.publish(
            round_.all_rows(),
            days=(ds,),
            key=(*spec.entity_keys, "model_version"),
            fence=fence,
            context=replace(context, mode="shadow"),
            inputs=round_.inputs(),
        )
        changed, digest = ds in published.changed, published.digests[ds]
    else:
        changed, digest = False, None
    compared = shadow_metrics.compare(env, spec, ds, context)
    _tell(env, spec, ds, round_, context)
    summary = {
        "ds": ds,
        "champion": champion.inputs["model_version"],
        "scored": {version: facts["rows"] for version, facts in round_.facts.items()},
        "passed_over": passed_over,
        "changed": changed,
        "digest": digest,
        "compared": compared,
    }
    if round_.broken:
        raise _failed(env, spec, ds, round_)
    return summary


class _Round:
    """One day's scoring by all shadows: what came out, and who broke."""

    def __init__(
        self, env: Environment, spec: ModelSpec, ds: str, champion: PartitionInfo, stored: PartitionInfo | None
    ) -> None:
        from imago.tables import Table

        self.env, self.ds = env, ds
        self.champion, self.stored = champion, stored
        self.threshold = champion.inputs.get("decision_threshold", spec.decision_threshold)
        # A changed spec would flip decisions that no model changed.
        self.spec = spec.model_copy(update={"decision_threshold": self.threshold})
        source = champion.inputs["features"]
        table = Table(env, spec.name, "features")
        newest = table.partition(ds)
        self.digest = source["digest"]
        self.published = newest.inputs if newest is not None and newest.digest == self.digest else {}
        self.features = table.as_published(ds, source["version"])
        self.rows: dict[str, pa.Table] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.broken: dict[str, Exception] = {}

    def take(self, shadow: Shadow, *, stands: bool) -> None:
        """Lets one version score. Whatever goes wrong in it is its own; rows of it that still hold are kept.

        One that shadows no longer, and whose files may be gone, is only missing then.
        """
        try:
            rows, checks = self._scored(shadow)
        except Exception as error:
            log.exception("version %s could not score %s in the shadow", shadow.version, self.ds)
            if stands:
                self.broken[shadow.version] = error
            kept = self._kept(shadow)
            if kept is None:
                return
            rows, checks = kept
        self.rows[shadow.version] = rows
        self.facts[shadow.version] = {
            "shadow": shadow.id,
            "run_id": shadow.run_id,
            "artifact_sha256": shadow.artifact_sha256,
            "features": self.digest,
            "rows": rows.num_rows,
            "input_checks": checks,
        }

    def _scored(self, shadow: Shadow) -> tuple[pa.Table, int]:
        from imago.registry import load_model
        from imago.scoring.whole import judge_day

        where = {"environment": self.env.name, "model": self.spec.name, "table": "features", "partition": self.ds}
        scorer = load_model(self.env, shadow)
        rows, tally = judge_day(
            self.spec, scorer, self.features, where=where, published=self.published, version=shadow.version
        )
        return rows, tally.checks

    def _kept(self, shadow: Shadow) -> tuple[pa.Table, int] | None:
        """The stored rows of a version, when the same model made them from the same features at the same threshold."""
        import pyarrow.compute as pc

        from imago.tables import Table

        if self.stored is None or self.stored.inputs["decision_threshold"] != self.threshold:
            return None
        facts = self.stored.inputs["shadows"].get(shadow.version)
        same = {"features": self.digest, "artifact_sha256": shadow.artifact_sha256}
        if facts is None or any(facts[name] != value for name, value in same.items()):
            return None
        rows = Table(self.env, self.spec.name, "shadow_predictions").read([self.ds], version=self.stored.version)
        return rows.filter(pc.equal(rows.column("model_version"), shadow.version)), facts["input_checks"]

    def all_rows(self) -> pa.Table:
        import pyarrow as pa

        first = next(iter(self.rows.values())).schema.names
        return pa.concat_tables([rows.select(first) for rows in self.rows.values()])

    def inputs(self) -> dict[str, Any]:
        """The partition's provenance."""
        return {
            "shadows": self.facts,
            "champion": {"model_version": self.champion.inputs["model_version"], "digest": self.champion.digest},
            "features": self.champion.inputs["features"],
            "decision_threshold": self.threshold,
        }


def _champion(env: Environment, spec: ModelSpec, ds: str) -> PartitionInfo:
    from imago.tables import Table

    found = Table(env, spec.name, "predictions").partition(ds)
    if found is None:
        raise MissingPartition(
            f"nobody has scored {ds}, so there is nothing to compare with",
            environment=env.name,
            model=spec.name,
            table="predictions",
            partition=ds,
            next_step="run batch_scoring for that day, then shadow_scoring again",
        )
    return found


def _tell(env: Environment, spec: ModelSpec, ds: str, round_: _Round, context: RunContext) -> None:
    """One warning for each version that broke; a version that scores again ends its own."""
    from imago import ledger
    from imago.alerts.outbox import Alert, raise_alerts, resolve

    alerts = [
        Alert(
            model=spec.name,
            rule=RULE,
            subject=subject_of(version),
            ds=ds,
            title=f"Version {version} could not score {ds} in the shadow",
            why="its comparison with the champion lacks that day; nothing that counts has changed",
            did="published the shadows beside it; predictions, champion and online store were not touched",
            next_step=_step(spec, version, error),
            facts=_facts(error),
        )
        for version, error in round_.broken.items()
    ]
    with ledger.connect(env).begin() as connection:
        raise_alerts(connection, alerts, context)
        if context.mode == "live":
            for version in round_.facts.keys() - round_.broken.keys():
                resolve(connection, spec.name, RULE, subject_of(version), context, ds=ds)


def _facts(error: Exception) -> Mapping[str, Any]:
    if isinstance(error, ImagoError):
        skipped = ("environment", "model", "partition")
        return {"error": error.message, **{name: one for name, one in error.facts.items() if name not in skipped}}
    return {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]}


def _step(spec: ModelSpec, version: str, error: Exception) -> str:
    mend = error.next_step if isinstance(error, ImagoError) and error.next_step else "look at the task's log"
    return f"{mend}; or `imago shadow stop {spec.name} --version {version}`"


def _failed(env: Environment, spec: ModelSpec, ds: str, round_: _Round) -> ShadowFailed:
    version, error = next(iter(round_.broken.items()))
    others = round_.facts.keys() - round_.broken.keys()
    return ShadowFailed(
        "; ".join(f"version {one} could not score in the shadow: {_facts(what)['error']}"
                  for one, what in round_.broken.items()),
        environment=env.name,
        model=spec.name,
        table="shadow_predictions",
        partition=ds,
        allowed=f"scored: {', '.join(sorted(others))}" if others else None,
        next_step=_step(spec, version, error),
    )  # fmt: skip
