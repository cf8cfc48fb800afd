"""The job of `imago explain`: one stored prediction, rebuilt from its provenance alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError, MissingPartition, ModelRefused
from imago.specs import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from imago.ledger.champions import Champion
    from imago.ledger.shadows import Shadow
    from imago.registry import Scorer
    from imago.tables.infos import PartitionInfo

log = logging.getLogger(__name__)
DRIVERS = 5


def explain(env: Environment, spec: ModelSpec, key: str, ds: str, *, shadow: str | None = None) -> dict[str, Any]:
    """Rebuilds one stored prediction from its provenance alone, and says whether it is equal and what drove it.

    The model is that of the ledger entry, its files proved by their digests; the features are those of the version that
    was read, proved by the day's digest; threshold and policy are those of then. `shadow` asks for what that version
    said in the champion's shadow. The row is made again twice: by the file that scored it, bit by bit, and by the
    pipeline that was judged, to the tolerance of the ONNX proof. The drivers: by how much the score (of the class that
    was decided for) would change if a feature had its usual value of the training data. A row without a score has the
    broken rule instead.

    Raises MissingPartition when the day is not published or the features' version was vacuumed, ModelRefused when
    the model can no longer be loaded, ImagoError for an unknown key; each says what is still known.
    """
    import pyarrow as pa

    from imago.registry import load_model
    from imago.scoring.explanation import differences, verdict

    told = _Told.of(env, spec, key, ds, shadow)
    try:
        scorer = load_model(env, told.entry)
        judged = scorer.as_pipeline()
    except ModelRefused as refusal:
        raise ModelRefused(
            f"the prediction cannot be made again: {refusal.message}; it stands as {told.in_short}",
            environment=env.name,
            model=spec.name,
            partition=ds,
            rule=refusal.facts.get("rule"),
            seen=f"version {told.entry.version}, {told.source}",
            next_step=f"bring the files of version {told.entry.version} back, or score the day again with another "
            f"champion (`imago backfill {spec.name} --from {ds} --to {ds} --stage batch_scoring --champion today`)",
        ) from refusal
    batch, place = _features(told)
    rebuilt, reason = _again(told, scorer, batch, place)
    differing = differences(told.row, rebuilt)
    of_pipeline, _ = _again(told, judged, batch.slice(place, 1), 0)
    for name, values in _apart(scorer, told.row, of_pipeline).items():
        differing.setdefault(name, values)
    drivers, note = (
        ([], "")
        if rebuilt["score"] is None
        else _drivers(told, scorer, pa.Table.from_batches([batch.slice(place, 1)]), rebuilt)
    )
    return {
        "key": key,
        "ds": ds,
        "table": told.table,
        "stored": told.row,
        "rebuilt": rebuilt["score"],
        "rebuilt_row": rebuilt,
        "pipeline": of_pipeline["score"],
        "equal": not differing,
        "different": differing,
        "verdict": verdict(key, ds, differing),
        "reason": reason,
        "model": {
            "version": told.entry.version,
            "entry": told.entry.id,
            "kind": "champion" if shadow is None else "shadow",
            "artifact_sha256": told.entry.artifact_sha256,
            "trained_until": told.entry.trained_until,
            "leaking": told.entry.trained_until >= ds,
        },
        "inputs": told.info.inputs,
        "run_id": told.info.run_id,
        "mode": told.info.mode,
        "code_commit": told.info.code_commit,
        "drivers": drivers,
        "note": note,
    }


@dataclass(frozen=True)
class _Told:
    """A stored prediction and all that its provenance names."""

    env: Environment
    spec: ModelSpec  # with the threshold and the policy of then
    key: str
    ds: str
    table: str
    row: Mapping[str, Any]
    info: PartitionInfo
    entry: Champion | Shadow
    source: str

    @classmethod
    def of(cls, env: Environment, spec: ModelSpec, key: str, ds: str, shadow: str | None) -> _Told:
        import pyarrow.compute as pc

        from imago import keys
        from imago.tables import Table

        name = "predictions" if shadow is None else "shadow_predictions"
        table = Table(env, spec.name, name)
        info, rows = table.partition(ds), table.require(ds)
        if info is None:
            raise _unknown_provenance(env, spec, name, ds)
        if shadow is not None:
            shadowed = info.inputs["shadows"]
            if shadow not in shadowed:
                raise ImagoError(
                    f"version {shadow} did not shadow {ds}", environment=env.name, model=spec.name, table=name,
                    partition=ds, allowed=", ".join(sorted(shadowed)), seen=shadow,
                    next_step="name a version that did",
                )  # fmt: skip
            rows = rows.filter(pc.equal(rows.column("model_version"), shadow))
        keys.parts(key, spec.entity_keys)  # refuses what can be no key
        found = rows.filter(pc.equal(keys.texts(rows, spec.entity_keys), key)).to_pylist()
        if not found:
            some = keys.texts(rows.slice(0, 2), spec.entity_keys).to_pylist()
            raise ImagoError(
                f"no prediction is stored for {key}",
                environment=env.name,
                model=spec.name,
                table=name,
                partition=ds,
                column=", ".join(spec.entity_keys),
                allowed=f"one of the day's {rows.num_rows:,} keys, such as {', '.join(some)}",
                seen=key,
                next_step=f"check key and day; `imago partitions {name} {spec.name}` lists the days",
            )
        if shadow is None and found[0]["model_version"] != info.inputs["model_version"]:
            raise _unknown_provenance(env, spec, name, ds)
        entry, source = _entry(env, spec, ds, info, shadow)
        return cls(env, _as_then(spec, info.inputs), key, ds, name, found[0], info, entry, source)

    @property
    def in_short(self) -> str:
        """What the row says, in words."""
        if self.row["score"] is None:
            return f"no score ({self.row.get('reason')})"
        decision = f", decision {self.row['decision']}" if "decision" in self.row else ""
        return f"score {self.row['score']!r}{decision}"


def _as_then(spec: ModelSpec, inputs: Mapping[str, Any]) -> ModelSpec:
    """The spec with the threshold and the policy that the partition records."""
    policy = inputs.get("bad_rows", {})
    then = {"bad_rows": policy["policy"], "unseen": policy["unseen"]} if policy else {}
    return spec.model_copy(
        update={
            "decision_threshold": inputs.get("decision_threshold", spec.decision_threshold),
            "scoring": spec.scoring.model_copy(update=then),
        }
    )


def _entry(
    env: Environment, spec: ModelSpec, ds: str, info: PartitionInfo, shadow: str | None
) -> tuple[Champion | Shadow, str]:
    """The ledger's row of the model, which has to be of the artifact that the partition records."""
    from imago import ledger
    from imago.ledger import shadows
    from imago.scoring.choice import choose

    entry: Champion | Shadow | None
    with ledger.connect(env).connect() as connection:
        if shadow is None:
            entry, recorded = choose(connection, spec.name, ds, "as-was", info.inputs), info.inputs
            source = f"ledger entry {recorded['champion_id']}"
        else:
            recorded = info.inputs["shadows"][shadow]
            entry = shadows.with_numbers(connection, spec.name, [recorded["shadow"]]).get(recorded["shadow"])
            source = f"shadow {recorded['shadow']}"
    if entry is None or entry.artifact_sha256 != recorded.get("artifact_sha256", entry.artifact_sha256):
        raise ModelRefused(
            f"{source} is not of the model that the partition records",
            environment=env.name,
            model=spec.name,
            partition=ds,
            rule="digest",
            allowed=recorded.get("artifact_sha256"),
            seen=None if entry is None else entry.artifact_sha256,
            next_step="`imago champion verify` says whether the ledger is whole",
        )
    return entry, source


def _features(told: _Told) -> tuple[pa.RecordBatch, int]:
    """The batch that the row was scored in and its place there, out of a day whose digest is that of then. In other
    company a model of matrices gives the same row a score that differs in its last bit."""
    import pyarrow.compute as pc

    from imago import keys
    from imago.scoring.predictions import BATCH_ROWS
    from imago.tables import Table
    from imago.tables.digest import content_digest

    env, spec, ds, source = told.env, told.spec, told.ds, told.info.inputs["features"]
    table, key = Table(env, spec.name, "features"), spec.entity_keys
    where: dict[str, Any] = {"environment": env.name, "model": spec.name, "table": "features", "partition": ds}
    version = source["version"]
    try:
        day = table.as_published(ds, version)
    except MissingPartition as gone:
        newest = table.partition(ds)
        if newest is None or newest.digest != source["digest"]:
            raise MissingPartition(
                f"the prediction cannot be made again: the features that it was made from (version "
                f"{source['version']}) were vacuumed, and the day's features are others by now; it stands as "
                f"{told.in_short}",
                **where,
                rule="versions are kept for a time, and as long as a training pins them",
                seen=f"digest {source['digest'][:12]}; now {newest.digest[:12] if newest else 'not published'}",
                next_step=f"score the day again with the champion of then (`imago backfill {spec.name} --from {ds} "
                f"--to {ds} --stage batch_scoring`): what it gives can be made again",
            ) from gone
        version = newest.version  # published again since, with the same rows
        day = table.as_published(ds, version)
    seen = content_digest(day, key)
    if seen != source["digest"]:
        raise MissingPartition(
            "the stored features are not those that the prediction was made from",
            **where,
            rule="digest",
            allowed=source["digest"],
            seen=seen,
            next_step=f"`imago partitions features {spec.name} --ds {ds}` lists the day's versions",
        )
    rows = int(pc.sum(pc.equal(keys.texts(day, key), told.key)).as_py() or 0)
    if rows != 1:
        raise MissingPartition(
            f"the features of the day hold {rows} rows of {told.key}, so nobody can have scored it from them",
            **where,
            column=", ".join(key),
            next_step="score the day again",
        )
    with table.stream(ds, key=key, version=version) as stored:
        for batch in stored.batches(BATCH_ROWS):
            place = pc.index(keys.texts(batch, key), told.key).as_py()
            if place >= 0:
                return batch, place
    raise AssertionError("unreachable: the key was counted above")


def _again(
    told: _Told, scorer: Scorer, batch: pa.RecordBatch, place: int
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The row as the model gives it now, and the rule for which it has no score, if it has none."""
    from imago.scoring.explanation import of_reason
    from imago.scoring.inputs import judge_of
    from imago.scoring.judging import not_finite
    from imago.scoring.predictions import Predictor

    judge = judge_of(told.spec, scorer, told.entry.version)
    predictor = Predictor(told.spec, scorer, judge, told.entry.version)
    predictor.check()
    answer = predictor.answer(batch)
    if answer.rows is None:
        # Its policy would have stopped the whole day, so nothing could have been published.
        return dict.fromkeys(told.row) | {"score": None}, None
    row = {
        name: value
        for name, value in answer.rows.slice(place, 1).to_pylist()[0].items()
        if name in told.row or name == "reason"
    }
    if row["score"] is not None:
        return row, None
    alone = judge.as_trained(batch.slice(place, 1))
    _, broken = judge.look(alone)
    broken = broken or not_finite(scorer.predict(alone))
    first = broken[0]
    reason = {
        "code": row.get("reason"),
        "column": first.column,
        "rule": first.rule,
        "allowed": first.allowed,
        "seen": first.seen,
        "words": of_reason(str(first.column), first.rule, first.seen, first.allowed),
    }
    return row, reason


def _apart(scorer: Scorer, stored: Mapping[str, Any], of_pipeline: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The stored scores that are not those of the pipeline that was judged, with both values."""
    import numpy as np

    from imago.registry.exporting import TOLERANCE, difference

    span = float(scorer.card.get("onnx", {}).get("span", 0.0))
    apart = {}
    for name in (name for name in stored if name == "score" or name.startswith("score_")):
        pair = [stored[name], of_pipeline.get(name)]
        ours, theirs = (np.array([np.nan if value is None else value]) for value in pair)
        if difference(ours, theirs, scorer.problem, span) > TOLERANCE:
            apart[name] = pair
    return apart


def _drivers(
    told: _Told, scorer: Scorer, row: pa.Table, rebuilt: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], str]:
    """What moved the score most against usual values, and a note where that cannot be told."""
    import pyarrow as pa

    from imago.jobs import monitoring
    from imago.measures import decided
    from imago.scoring.explanation import of_driver, usual_value

    spec = told.spec
    try:
        usual = monitoring.reference_of(told.env, spec, told.entry, RunContext.local()).profile  # type: ignore[arg-type]
    except (ImagoError, FileNotFoundError) as error:
        log.info("no drivers: %s", error)
        return [], f"What drove it cannot be told: the reference of version {told.entry.version} cannot be made."
    known = [name for name, _ in scorer.features if name in usual.columns]
    typical = {name: usual_value(usual.columns[name].typical, row.schema.field(name).type) for name in known}
    variants = []
    for name in known:
        place, field = row.schema.get_field_index(name), row.schema.field(name)
        variants.append(row.set_column(place, field, pa.array([typical[name]], field.type)))
    scores = scorer.predict(pa.concat_tables([row, *variants]))
    if scores.ndim == 2:
        scores = scores[:, decided(scores)[0]]
    changes = scores[0] - scores[1:]
    ranked = sorted(zip(known, changes, strict=True), key=lambda pair: -abs(pair[1]))[:DRIVERS]
    drivers = []
    for name, change in ranked:
        value, other = row.column(name)[0].as_py(), typical[name]
        words = of_driver(spec, name, value, other, float(change), rebuilt.get("decision"))
        drivers.append({"feature": name, "value": value, "usual": other, "effect": float(change), "words": words})
    return drivers, ""


def _unknown_provenance(env: Environment, spec: ModelSpec, table: str, ds: str) -> ImagoError:
    return ImagoError(
        "the stored partition is not the one that the ledger knows: its last attempt was killed before it wrote itself "
        "down",
        environment=env.name,
        model=spec.name,
        table=table,
        partition=ds,
        next_step="run the stage again for that day: it makes up for the ledger row, and changes no row that is right",
    )
