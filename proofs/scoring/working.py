"""The tasks of the proof, each for a process of its own. `url` is the Postgres, `home` a folder for all of them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from proofs.report import Report
from proofs.scoring import naive
from proofs.scoring import world as worlds
from proofs.scoring.requests import When
from proofs.scoring.world import World


def build(url: str, home: str, size: str) -> None:
    """Builds the world, for all the others."""
    _begun(home)
    worlds.keep(worlds.build(url, Path(home), size))


def airflow(url: str, home: str, each: int) -> Report:
    from proofs.scoring import attempts

    return attempts.run(url, _world(home), each=each)


def kills(url: str, home: str, place: str, when: When, number: int | None) -> Report:
    from proofs.scoring import kills

    return kills.run(url, _world(home), place, when, kills=number)


def reruns(url: str, home: str, days: int, again: int) -> Report:
    from proofs.scoring import reruns

    return reruns.run(url, _world(home), days=days, again=again)


def champions(url: str, home: str) -> Report:
    from proofs.scoring import champions

    naive.plant()
    return champions.run(url, _world(home))


def explain(url: str, home: str, predictions: int) -> Report:
    from proofs.scoring import explaining

    naive.plant()
    return explaining.run(url, _world(home), predictions=predictions)


def damage(url: str, home: str, damages: int) -> Report:
    from proofs.scoring import damage

    return damage.run(url, _world(home), damages=damages)


def _begun(home: str) -> None:
    logging.disable(logging.WARNING)  # what odd days and damaged files are told of is known
    os.environ["IMAGO_HOME"] = f"{home}/imago"


def _world(home: str) -> World:
    _begun(home)
    return worlds.kept(home)
