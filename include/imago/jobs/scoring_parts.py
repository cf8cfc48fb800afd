"""A day in parts: `plan` binds it, `score_part` scores one slice of its rows into a staging place, and `publish_parts`
publishes them all in one commit. The rows are those of `scoring.score`, whatever the number of parts.

One fence holds for all of it, drawn by `plan` before anything is read. A part that is scored again writes the same
bytes under the same names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import MissingPartition
from imago.jobs.scored_day import Account, Assignment, DayScorer, Scored, assign, champion_of, telling
from imago.jobs.scoring import publish
from imago.scoring.judging import Tally
from imago.specs import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from imago.monitoring.profiles import Profile
    from imago.tables.days import StoredDay

# So many rows are a slice on Spark, where the spec does not ask for smaller ones: a second or two of work.
SPARK_ROWS = 524_288


def plan(env: Environment, spec: ModelSpec, ds: str, context: RunContext, champion: str = "as-was") -> dict[str, Any]:
    """Binds the scoring of `ds` (see `scoring.score`) and cuts its rows into at most `spec.scoring.parts` slices; for
    Spark into more where there are many rows, so that none lasts long.

    Returns what the other tasks are given: `assignment`, and `slices` as (number, first row, row after the last).
    """
    from imago.scoring.predictions import BATCH_ROWS

    assignment, chosen = assign(env, spec, ds, champion, context)
    rows = assignment.features["rows"]
    parts = spec.scoring.parts if spec.scoring.engine == "arrow" else max(spec.scoring.parts, -(-rows // SPARK_ROWS))
    slices = cut(rows, parts, BATCH_ROWS)
    return {
        "ds": ds,
        "rows": rows,
        "model_version": chosen.version,
        "assignment": assignment.as_dict(),
        "slices": slices,
    }


def cut(rows: int, parts: int, batch: int) -> list[tuple[int, int, int]]:
    """(number, first row, row after the last) of each slice: whole batches, so that every batch is the one that it
    would be in one piece. Fewer slices than `parts` where there are fewer batches.

    >>> cut(250, 2, 100)
    [(1, 0, 200), (2, 200, 250)]
    >>> cut(50, 4, 100)
    [(1, 0, 50)]
    """
    batches = max(1, -(-rows // batch))
    parts = min(parts, batches)
    bounds = [-(-batches * number // parts) * batch for number in range(parts + 1)]
    return [(number + 1, bounds[number], min(bounds[number + 1], rows)) for number in range(parts)]


def score_part(
    env: Environment, spec: ModelSpec, given: Mapping[str, Any], piece: Sequence[int], context: RunContext
) -> dict[str, Any]:
    """Scores the rows of one slice into the run's staging place: its predictions in one file, whose name proves its
    bytes, and its profile batch by batch. `given` is the plan's `assignment`, `piece` one of its `slices`.

    Returns what `publish_parts` needs of it. Bad rows are only counted here: whether they refuse the day is decided on
    the whole of it.
    """
    assignment = Assignment(**given)
    scorer = DayScorer(env, spec, assignment, champion_of(env, spec, assignment), context)
    with telling(env, spec, assignment.ds, context), scorer.features() as day:
        scorer.check(day)
        return score_slice(scorer, day, piece)


def score_slice(scorer: DayScorer, day: StoredDay, piece: Sequence[int]) -> dict[str, Any]:
    """See `score_part`. Asks the storage alone, so it runs wherever that can be reached."""
    import pyarrow as pa

    from imago.storage import Storage
    from imago.tables.spool import Spool

    assignment, (number, start, stop) = scorer.assignment, piece
    storage, folder = Storage(scorer.env), f"{folder_of(scorer.spec, assignment)}/part-{number:04d}"
    account = Account(scorer.spec)
    profiles: list[pa.Table] = []

    def kept(scored: Iterable[Scored]) -> Iterator[Scored]:
        for one in scored:
            if one.profile is not None:
                profiles.append(one.profile.to_table(str(len(profiles))))
            yield one

    with Spool(storage, scorer.schema) as spool:
        spool.fill(account.rows(kept(scorer.scored(day, start, stop))))
        file = spool.store(folder, ds=assignment.ds, fence=assignment.fence)
    profile = {"path": f"{folder}/profiles.parquet", "sha256": ""}
    if profiles:
        profile["sha256"] = storage.write_parquet(profile["path"], pa.concat_tables(profiles))
    return {
        "part": number,
        "rows": account.tally.rows,
        "file": f"{folder}/{file.path}",
        "profiles": profile,
        "tally": account.tally.as_dict(),
        "decisions": account.decisions,
    }


def publish_parts(
    env: Environment, spec: ModelSpec, given: Mapping[str, Any], parts: Iterable[Mapping[str, Any]], context: RunContext
) -> dict[str, Any]:
    """Publishes what all `score_part` of one plan returned, in one commit with the plan's fence. Returns the summary of
    `scoring.score`. The staged parts stay until retention removes them, so that this task can be cleared alone."""
    assignment = Assignment(**given)
    scorer = DayScorer(env, spec, assignment, champion_of(env, spec, assignment), context)
    ordered = sorted(parts, key=lambda part: part["part"])
    found = sum(part["rows"] for part in ordered)
    if found != assignment.features["rows"]:
        raise MissingPartition(
            f"the parts hold {found} of the day's {assignment.features['rows']} rows",
            **scorer.where,  # type: ignore[arg-type]
            next_step="clear the run from its first task on: every part is scored again",
        )
    account = Account(spec)
    for part in ordered:
        account.add(Tally.from_dict(part["tally"]), None, part["decisions"])
        for profile in _profiles(env, scorer, part):
            account.add(Tally(), profile, {})
    with telling(env, spec, assignment.ds, context):
        return publish(scorer, account, _rows(env, scorer, ordered))


def folder_of(spec: ModelSpec, assignment: Assignment) -> str:
    """The staging place of a scoring."""
    return f"staging/{spec.name}/predictions-{assignment.ds}-{assignment.fence}"


def _rows(env: Environment, scorer: DayScorer, parts: Iterable[Mapping[str, Any]]) -> Iterator[pa.RecordBatch]:
    """The staged predictions, part by part, each proved before it is read."""
    from imago.scoring.predictions import BATCH_ROWS
    from imago.storage import Storage
    from imago.tables import files
    from imago.tables.days import DayInFile

    storage, ds = Storage(env), scorer.assignment.ds
    for part in parts:
        try:
            with files.proved_file(storage, storage.uri(part["file"])) as file:
                yield from DayInFile(file, ds, scorer.schema).batches(BATCH_ROWS)
        except (files.ChangedBytes, FileNotFoundError):
            raise _lost(scorer, part["file"]) from None


def _profiles(env: Environment, scorer: DayScorer, part: Mapping[str, Any]) -> Iterator[Profile]:
    """The profiles of a part's batches, in their order."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from imago.monitoring.profiles import Profile
    from imago.storage import Storage

    path, sha256 = part["profiles"]["path"], part["profiles"]["sha256"]
    if not sha256:
        return
    try:
        data = Storage(env).read_bytes(path)
    except FileNotFoundError:
        raise _lost(scorer, path) from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _lost(scorer, path)
    rows = pq.read_table(pa.BufferReader(data))
    for number in range(len(pc.unique(rows.column("ds")))):
        mine = rows.filter(pc.equal(rows.column("ds"), str(number)))
        yield Profile.from_table(mine, scorer.reference.profile)


def _lost(scorer: DayScorer, file: str) -> MissingPartition:
    return MissingPartition(
        "a staged part is gone, or does not hold what was written",
        **{**scorer.where, "table": "predictions"},  # type: ignore[arg-type]
        file=file,
        next_step="clear the run from its first task on: every part is scored again",
    )
