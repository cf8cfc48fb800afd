"""The picture that an alert of drift carries: one column as it was in training, and as it is on the day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imago.environments import Environment
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from imago.alerts.pictures import Picture


def distribution(env: Environment, spec: ModelSpec, ds: str, column: str) -> Picture | None:
    """The column's profile of `ds` against its champion's reference; None where there is nothing to draw, as for the
    number of rows. It is made of counts in frozen bins, never of rows."""
    from imago.alerts.pictures import of_counts
    from imago.jobs.references import stored_reference
    from imago.monitoring.profiles import Profile
    from imago.tables import Table

    table = Table(env, spec.name, "profiles")
    info = table.partition(ds)
    if info is None:
        return None
    reference = stored_reference(env, spec, info.inputs["reference"]).profile
    usual = reference.columns.get(column)
    now = Profile.from_table(table.read([ds]), reference).columns.get(column)
    if usual is None or now is None:
        return None
    return of_counts(
        title=f"{column} on {ds}",
        usual=usual.counts,
        now=now.counts,
        edges=usual.edges,
        categories=usual.categories,
        now_name=ds,
    )
