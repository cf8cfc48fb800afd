"""What the days under a champion are compared with: made from the snapshot that it was trained on, and stored once.

models/{model}/references/{artifact sha256}/{REFERENCE}
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import DamagedPartition, ModelRefused
from imago.specs import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from imago.ledger.champions import Champion
    from imago.monitoring.reference import Reference
    from imago.training.snapshot import Snapshot

log = logging.getLogger(__name__)

REFERENCE = "reference-2.json.zlib"  # the number is that of the format: another one is made anew


def write_reference(env: Environment, spec: ModelSpec, champion: Champion, context: RunContext) -> dict[str, Any]:
    """Makes and stores the champion's reference; the same again writes the same."""
    import zlib

    from imago.storage import Storage

    reference = _made(env, spec, champion)
    path = _path(spec, champion.artifact_sha256)
    Storage(env).write_sealed(path, zlib.compress(reference.to_json()))
    return {
        "reference": path,
        "rows": reference.profile.rows,
        "first_day": reference.first_day,
        "last_day": reference.last_day,
    }


def reference_of(env: Environment, spec: ModelSpec, champion: Champion, context: RunContext) -> Reference:
    """The champion's stored reference; made on first use where deployment did not write it, and again where the file
    was damaged."""
    try:
        return stored_reference(env, spec, champion.artifact_sha256)
    except FileNotFoundError:
        pass
    except DamagedPartition as damaged:
        log.warning("%s: it is made anew from the snapshot that the champion was trained on", damaged)
    write_reference(env, spec, champion, context)
    return stored_reference(env, spec, champion.artifact_sha256)


def stored_reference(env: Environment, spec: ModelSpec, identity: str) -> Reference:
    """The reference of the artifact with that sha256, which scoring or deployment wrote. Raises FileNotFoundError,
    DamagedPartition."""
    import zlib

    from imago.monitoring.reference import Reference
    from imago.storage import Storage

    return Reference.from_json(zlib.decompress(Storage(env).read_sealed(_path(spec, identity))))


def _path(spec: ModelSpec, identity: str) -> str:
    return f"models/{spec.name}/references/{identity}/{REFERENCE}"


def reference_from(
    spec: ModelSpec,
    identity: str,
    frozen: Snapshot,
    predict: Callable[[pa.Table], Any],
    importance: Mapping[str, float],
) -> Reference:
    """The reference of a model that was trained on this snapshot; `predict` gives its scores for rows."""
    from dataclasses import replace

    import pyarrow as pa

    from imago.answers import decisions_of, told
    from imago.monitoring.estimation import fit_estimator
    from imago.monitoring.reach import check_bounds
    from imago.monitoring.reference import fit_reference, profiled_columns
    from imago.selection.bootstrap import day_error, standard_error
    from imago.selection.units import Units
    from imago.training.snapshot import labels

    # The profile is all that the champion learned from, tuning days too. The holdout judged and did not teach: it shows
    # how far days go that the champion had not seen, and what its scores are worth there.
    held = frozen.part("holdout")
    rows = pa.concat_tables([frozen.part("fit"), held])
    scores = predict(rows)
    answers = told(spec, scores)
    kinds = dict(frozen.manifest["features"])  # those of the training: the spec may have others by now
    reference = fit_reference(
        identity=identity,
        columns=profiled_columns(rows, tuple(kinds), answers),
        kinds=kinds,
        decisions=decisions_of(spec),
        days=rows.column("ds").to_pylist(),
        trained_until=frozen.cut.trained_until,
        importance=importance,
        calendar=spec.calendar_names,
    )
    check_bounds(spec, reference)
    found = sorted(set(reference.calendar) - set(spec.calendar_names))
    if found:
        log.warning("the day determines %s, so it is not compared: say calendar=True in the spec", ", ".join(found))
    first = rows.num_rows - held.num_rows
    estimator = fit_estimator(
        metric=spec.primary_metric,
        problem=spec.problem,
        classes=spec.classes,
        bins=reference.profile,
        truth=labels(held, spec),
        scores=scores[first:],
        told={name: column.slice(first) for name, column in answers.items()},
        days=held.column("ds").to_pylist(),
    )
    units = Units.of_rows(spec, held)
    if units.draws_entities or units.horizon > 1:
        truth, seed = labels(held, spec), spec.training.seed
        estimator = estimator.with_units(
            day_error=day_error(spec.primary_metric, units, truth, scores[first:]),
            level_error=standard_error(spec.primary_metric, units, truth, scores[first:], seed=seed),
        )
    return replace(reference, estimator=estimator)


def _made(env: Environment, spec: ModelSpec, champion: Champion) -> Reference:
    from imago.registry import load_model
    from imago.registry.outputs import check_outputs
    from imago.training import snapshot

    scorer = load_model(env, champion)
    folder = scorer.card.get("snapshot")
    if not folder:
        raise ModelRefused(
            "the champion does not say on which snapshot it was trained, so it has no reference for drift",
            environment=env.name,
            model=spec.name,
            seen=f"version {champion.version}",
            next_step="train again: a new champion records its snapshot",
        )
    check_outputs(spec, scorer.card)
    frozen = snapshot.load(env, folder)
    needed = _importance(env, spec, champion)
    return reference_from(spec, champion.artifact_sha256, frozen, scorer.predict, needed)


def _importance(env: Environment, spec: ModelSpec, champion: Champion) -> dict[str, float]:
    """What the training found that the champion loses without each feature; empty where it did not measure it."""
    from imago.registry.tracking import Tracker
    from imago.storage import Storage
    from imago.training import importance

    storage = Storage(env)
    path = f"{Tracker(env, spec.name).artifact_folder(champion.run_id)}/{importance.FILE}"
    if not storage.exists(path):
        return {}
    found: dict[str, float] = json.loads(storage.read_bytes(path))["mean"]
    return found
