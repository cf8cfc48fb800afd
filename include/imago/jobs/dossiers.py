"""Writes the dossier of a fight, adds the answer to it, and finds it again.

    trainings/{model}/{ds}/{training run}/dossier.html     the page; dossier.md and dossier.json beside it say the same

Page and Markdown also stand among the files of the training's MLflow run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from imago.environments import Environment
from imago.specs import ModelSpec

if TYPE_CHECKING:
    import numpy as np

    from imago.selection import Verdict
    from imago.selection.causes import Cause
    from imago.training.snapshot import Snapshot

log = logging.getLogger(__name__)
PAGE, WORDS, SAID = "dossier.html", "dossier.md", "dossier.json"


@dataclass(frozen=True)
class Written:
    """Where the dossier stands, and what it says."""

    facts: dict[str, str]
    links: dict[str, str]
    markdown: str


def write(
    environment: Environment,
    spec: ModelSpec,
    ds: str,
    word: Mapping[str, Any],
    frozen: Snapshot,
    verdict: Verdict,
    outcome: str,
    predictions: Mapping[str, np.ndarray],
    *,
    causes: Sequence[Cause] = (),
) -> Written:
    """The dossier of the fight over the training that left `word`. `predictions` are the contestants' scores on the
    holdout."""
    from imago.alerts.links import dossier_address
    from imago.jobs.dossier_facts import gather
    from imago.registry.tracking import Tracker
    from imago.selection import dossier

    folder = f"trainings/{spec.name}/{ds}/{word['training_run']}"
    tracker = Tracker(environment, spec.name)
    run = tracker.run_link(word["training_run"])
    address = dossier_address(environment, spec.name, ds, path=f"{folder}/{PAGE}")
    said = {
        **gather(environment, spec, ds, word, frozen, verdict, outcome, predictions, causes),
        "address": address,
        "run": run,
        "folder": folder,
        "training_run": word["training_run"],
    }
    _store(environment, spec, said)
    return Written(
        facts={"dossier": f"{folder}/{PAGE}", "page": address, "training_run": word["training_run"], "link": run},
        links={"Dossier": address, "Training run": run},
        markdown=dossier.markdown(said),
    )


def approve(environment: Environment, spec: ModelSpec, recorded: Mapping[str, Any], *, by: str, at: datetime) -> None:
    """Writes who approved into the dossier of a decision that waited. Doing it again gives the same page."""
    _answer(environment, spec, recorded, "promoted", f"{by} approved on {at:%Y-%m-%d at %H:%M} UTC")


def close(environment: Environment, spec: ModelSpec, recorded: Mapping[str, Any], reason: str) -> None:
    """Writes into the dossier of a decision that waited why nothing came of it. Doing it again gives the same page."""
    _answer(environment, spec, recorded, "kept", reason[:1].upper() + reason[1:])


def _answer(environment: Environment, spec: ModelSpec, recorded: Mapping[str, Any], outcome: str, answer: str) -> None:
    from jinja2 import TemplateError

    from imago.selection import words
    from imago.storage import Storage

    facts = recorded["verdict"]["facts"]
    if not facts.get("dossier"):
        return
    path = str(facts["dossier"]).removesuffix(PAGE) + SAID
    said = json.loads(Storage(environment).read_bytes(path))
    before, after = (" would score from ", " scores from ")
    said |= {
        "outcome": outcome,
        "headline": words.HEADLINES[outcome].format(challenger=said["challenger"]),
        "sentence": said["sentence"].replace(before, after) if outcome == "promoted" else said["sentence"],
        "approval": answer,
        "shadow": _in_the_shadow(environment, spec, recorded),
    }
    try:
        _store(environment, spec, said)
    except TemplateError as error:
        # The release was changed between verdict and answer. The ledger says what was answered, and by whom.
        log.warning("the dossier %s keeps its words from before the answer: %s", facts["dossier"], error)


def page(environment: Environment, spec: ModelSpec, ds: str) -> str | None:
    """The page of the newest decision on the training of `ds`; None where there is none.

    It is the stored one, and where its challenger has scored in the shadow since, what these days tell by now.
    """
    from jinja2 import TemplateError

    from imago import ledger
    from imago.ledger import decisions
    from imago.selection import dossier
    from imago.storage import Storage

    with ledger.connect(environment).connect() as connection:
        recorded = decisions.of_training(connection, spec.name, ds)
    path = recorded["verdict"]["facts"].get("dossier") if recorded else None
    if recorded is None or not path:
        return None
    storage, shadow = Storage(environment), _in_the_shadow(environment, spec, recorded)
    try:
        if shadow is not None:
            said = json.loads(storage.read_bytes(path.removesuffix(PAGE) + SAID))
            return dossier.html({**said, "shadow": shadow})
    except (FileNotFoundError, TemplateError) as error:
        log.warning("the dossier %s is shown without its days in the shadow: %s", path, error)
    try:
        return storage.read_bytes(path).decode()
    except FileNotFoundError:
        return None


def _in_the_shadow(environment: Environment, spec: ModelSpec, recorded: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the challenger's days in the shadow tell by now, ready for the page; None when it has none.

    No shadow may stand in the way of a dossier, or of an answer that is written into one.
    """
    from imago.jobs.shadow_report import of_version
    from imago.selection.shadow.pictures import drawn

    try:
        told = of_version(environment, spec, recorded["challenger_version"])
    except Exception:
        log.exception("the dossier goes without the days in the shadow")
        return None
    return None if told is None else drawn(told)


def _store(environment: Environment, spec: ModelSpec, said: Mapping[str, Any]) -> None:
    from imago.registry.tracking import Tracker
    from imago.selection import dossier
    from imago.storage import Storage

    made = {WORDS: dossier.markdown(said).encode(), PAGE: dossier.html(said).encode()}
    storage = Storage(environment)
    for name, data in {SAID: json.dumps(said, indent=1, default=str).encode(), **made}.items():
        storage.write_bytes(f"{said['folder']}/{name}", data)
    Tracker(environment, spec.name).write(said["training_run"], made)
