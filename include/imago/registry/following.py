"""MLflow's aliases and life-stage tags follow the ledger.

MLflow keeps no history of an alias and lets anyone move it. So each alias is written together with a tag that names the
ledger's row it stands for. An alias that differs while its tag names the row of today was moved by hand; one whose tag
names an older row has only not followed yet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from imago.registry.tracking import Tracker

# larva: fitted. chrysalis: challenger, or former champion. butterfly: champion.
STAGE_TAG = "imago.stage"


@dataclass(frozen=True)
class Named:
    """What an alias has to point to: a version, the MLflow run that made it, and the ledger's row that says so."""

    version: str
    run_id: str
    row: int


@dataclass(frozen=True)
class Followed:
    """What was found on the way: aliases that were moved by hand, as (seen, wanted), either None where there is none;
    and the known versions that MLflow does not have (any more)."""

    moved: Mapping[str, tuple[str | None, str | None]]
    gone: frozenset[str]


def follow(
    tracker: Tracker, aliases: Mapping[str, Named | None], runs: Mapping[str, str], reigned: Collection[str] = ()
) -> Followed:
    """Makes MLflow say what the ledger says; `runs` maps the champions that are looked for to their runs, `reigned` are
    all versions that ever were one. Safe to repeat.

    A version of another run under the same number counts as gone. An alias whose version is gone is taken away, since
    whatever else it points to misleads. Raises StackError when MLflow does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        named = {one.version: one.run_id for one in aliases.values() if one}
        return _follow(tracker, aliases, {**runs, **named}, reigned)
    except MlflowException as error:
        raise tracker.down(error) from error


def _follow(
    tracker: Tracker, aliases: Mapping[str, Named | None], runs: Mapping[str, str], reigned: Collection[str]
) -> Followed:
    client, name = tracker.client, tracker.registered_name
    model = _found(client.get_registered_model, name)
    if model is None:
        return Followed({}, frozenset(runs))
    versions = {version: _found(client.get_model_version, name, version) for version in runs}
    there = {version: one for version, one in versions.items() if one is not None and one.run_id == runs[version]}
    gone = frozenset(runs) - frozenset(there)
    moved: dict[str, tuple[str | None, str | None]] = {}
    for alias, named in aliases.items():
        seen = str(model.aliases[alias]) if alias in model.aliases else None
        wanted = named.version if named is not None and named.version in there else None
        row = str(named.row) if named is not None else "none"
        tag = f"imago.{alias}_row"
        if seen != wanted:
            if model.tags.get(tag, "none") == row:
                moved[alias] = (seen, wanted)
            if wanted is None:
                client.delete_registered_model_alias(name, alias)
            else:
                client.set_registered_model_alias(name, alias, wanted)
        if model.tags.get(tag) != row:
            client.set_registered_model_tag(name, tag, row)
    champion = aliases.get("champion")
    reigns = champion.version if champion is not None else None
    # Known versions are the champion's, the challenger's and former champions'; whoever else is said to reign does not.
    stages = {version: "butterfly" if version == reigns else "chrysalis" for version in there}
    strays = client.search_model_versions(f"name = '{name}' and tags.`{STAGE_TAG}` = 'butterfly'")
    for one in strays:
        version = str(one.version)
        if version not in stages:
            there[version], stages[version] = one, "chrysalis" if version in reigned else "larva"
    for version, stage in stages.items():
        if there[version].tags.get(STAGE_TAG) != stage:
            # The run first: whoever was stopped in between does both again. A deleted run takes no tag.
            run = _found(client.get_run, there[version].run_id)
            if run is not None and run.info.lifecycle_stage == "active":
                client.set_tag(run.info.run_id, STAGE_TAG, stage)
            client.set_model_version_tag(name, version, STAGE_TAG, stage)
    return Followed(moved, gone)


def source_of(tracker: Tracker, version: str) -> str | None:
    """The folder of a version's model, below the storage root; None where MLflow has no such version."""
    from mlflow.exceptions import MlflowException

    try:
        found = _found(tracker.client.get_model_version, tracker.registered_name, version)
    except MlflowException as error:
        raise tracker.down(error) from error
    return None if found is None else tracker.storage.relative(str(found.source).removeprefix("file://"))


def delete(tracker: Tracker, version: str) -> None:
    """Deletes a version in MLflow, and with it the aliases that point to it."""
    from mlflow.exceptions import MlflowException

    try:
        tracker.client.delete_model_version(tracker.registered_name, version)
    except MlflowException as error:
        raise tracker.down(error) from error


def _found(ask: Any, *what: str) -> Any | None:
    from mlflow.exceptions import MlflowException

    try:
        return ask(*what)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
