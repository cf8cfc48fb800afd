"""MLflow's aliases and life-stage tags follow the ledger.

MLflow keeps no history of an alias and lets anyone move it. So each alias is written together with a tag that names the
ledger's row it stands for. An alias that differs while its tag names the row of today was moved by hand; one whose tag
names an older row has only not followed yet.
"""

from __future__ import annotations

from collections.abc import Mapping
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


def follow(tracker: Tracker, aliases: Mapping[str, Named | None], runs: Mapping[str, str]) -> Followed:
    """Makes MLflow say what the ledger says; `runs` maps the versions that are looked for to their runs. Safe to
    repeat.

    A version of another run under the same number counts as gone. An alias whose version is gone is taken away, since
    whatever else it points to misleads. Raises StackError when MLflow does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return _follow(tracker, aliases, {**runs, **{one.version: one.run_id for one in aliases.values() if one}})
    except MlflowException as error:
        raise tracker.down(error) from error


def _follow(tracker: Tracker, aliases: Mapping[str, Named | None], runs: Mapping[str, str]) -> Followed:
    client, name = tracker.client, tracker.registered_name
    model = _found(client.get_registered_model, name)
    if model is None:
        return Followed({}, frozenset(runs))
    versions = {version: _found(client.get_model_version, name, version) for version in runs}
    there = {version: one for version, one in versions.items() if one is not None and one.run_id == runs[version]}
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
    champion, challenger = aliases.get("champion"), aliases.get("challenger")
    for version, one in there.items():
        stage = one.tags.get(STAGE_TAG)
        if champion is not None and version == champion.version:
            wanted_stage = "butterfly"
        elif (challenger is not None and version == challenger.version) or stage == "butterfly":
            wanted_stage = "chrysalis"
        else:
            continue
        if stage != wanted_stage:
            client.set_model_version_tag(name, version, STAGE_TAG, wanted_stage)
    return Followed(moved, frozenset(runs) - frozenset(there))


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
