"""The task of `batch_scoring`: the champion scores one day, and the day's profile is written beside it.

Where the spec splits a day into parts, the tasks of `scoring_parts` do the same between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.jobs.scored_day import Account, DayScorer, assign, telling
from imago.specs import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from imago.tables import Publication


def score(env: Environment, spec: ModelSpec, ds: str, context: RunContext, champion: str = "as-was") -> dict[str, Any]:
    """Scores the features of `ds` and publishes predictions and profile; the same inputs publish nothing new.

    `champion`: `as-was` (recorded in the stored partition, else whoever reigned that day), `today`, or a version.
    Rows stream from the stored features to the stored predictions, so memory is flat in their number. Raises
    MissingPartition when the day's features are not published, RefusedPartition when they do not keep the contract that
    the champion was trained under and the spec's policy for bad rows says so, NoChampion, ModelRefused, Fenced.
    """
    if spec.scoring.engine == "spark":
        from imago.jobs import scoring_spark

        return scoring_spark.score(env, spec, ds, context, champion)
    assignment, chosen = assign(env, spec, ds, champion, context)
    scorer = DayScorer(env, spec, assignment, chosen, context)
    with telling(env, spec, ds, context), scorer.features() as day:
        scorer.check(day)
        account = Account(spec)
        return publish(scorer, account, account.rows(scorer.scored(day)))


def publish(scorer: DayScorer, account: Account, rows: Iterator[pa.RecordBatch]) -> dict[str, Any]:
    """Publishes the predictions of a day in one commit, once all `rows` have passed and the `account` of them was
    settled; then the day's profile, and live the online table. Returns the summary."""
    from imago.tables import Table

    env, spec, ds = scorer.env, scorer.spec, scorer.assignment.ds
    inputs: dict[str, Any] = {}

    def settled() -> Iterator[pa.RecordBatch]:
        yield from rows
        scorer.settle(account.tally)
        inputs.update(scorer.inputs(account.tally))

    published = Table(env, spec.name, "predictions").publish_stream(
        settled(),
        scorer.schema,
        ds=ds,
        key=spec.entity_keys,
        fence=scorer.assignment.fence,
        context=scorer.context,
        inputs=inputs,
        allow_empty=not scorer.assignment.features["rows"],
    )
    _publish_profile(scorer, account, published)
    return {
        "ds": ds,
        "rows": published.rows,
        "decisions": account.decisions,
        "model_version": scorer.champion.version,
        "champion_id": scorer.champion.id,
        "champion_choice": scorer.assignment.choice,
        "leaking": inputs["leaking"],
        "input_checks": account.tally.checks,
        "bad_rows": inputs["bad_rows"]["reasons"],
        "unscored": inputs["bad_rows"]["unscored"],
        "changed": ds in published.changed,
        "version": published.version,
        "digest": published.digests[ds],
        "online": _refresh_online(scorer),
    }


def _publish_profile(scorer: DayScorer, account: Account, published: Publication) -> None:
    from imago.tables import Table

    assert account.profile is not None  # also of a day without rows, which is one empty batch
    ds = scorer.assignment.ds
    Table(scorer.env, scorer.spec.name, "profiles").publish(
        account.profile.to_table(ds),
        days=(ds,),
        key=("column",),
        fence=scorer.assignment.fence,
        context=scorer.context,
        inputs={
            "reference": scorer.reference.identity,
            "model_version": scorer.champion.version,
            "predictions": {"digest": published.digests[ds]},
        },
    )


def _refresh_online(scorer: DayScorer) -> str:
    if scorer.context.mode != "live" or scorer.assignment.choice != "as-was":
        return "untouched"
    if not scorer.assignment.features["rows"]:
        return "untouched"  # a day without rows has no newer scores than those that are served
    from imago.jobs import serving

    return serving.refresh(scorer.env, scorer.spec, scorer.assignment.ds, scorer.champion)
