"""The tasks of the proof, each for a process of its own. `url` is the Postgres, `home` a folder for all of them."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from proofs.fight.chance import Fights
from proofs.fight.returning import Luck
from proofs.postgres import new_environment
from proofs.report import Report

PART_OF = {
    "properties": "properties",
    "hostile": "hostile",
    "racing": "racing",
    "shuffled_labels": "whole",
    "worse_on_a_slice": "whole",
    "inflated_metrics": "whole",
    "lucks": "returning",
    "retrains": "chance",
    "truth": "chance",
}


def build(url: str, home: str) -> str:
    """Builds the year of flights; the address of an MLflow store."""
    from proofs import flights

    logging.disable(logging.WARNING)  # the year's odd days are known
    flights.build(url, Path(home))
    return flights.mlflow_store(url)


def properties(url: str, home: str, tables: int, seed: int) -> Report:
    from proofs.fight import properties as part

    return part.run(tables, seed)


def hostile(url: str, home: str) -> Report:
    from proofs.fight import hostile as part

    folder = _empty(home)
    return part.run(new_environment(url, folder / "world"), folder)


def racing(url: str, home: str, size: str) -> Report:
    from proofs.fight import racing as part

    folder = _empty(home)
    workers, promotions = part.SIZES[size]
    return part.run(new_environment(url, folder / "world"), folder, workers=workers, promotions=promotions)


def shuffled_labels(url: str, home: str, mlflow: str, seed: int) -> Report:
    from proofs.fight import whole

    return whole.shuffled_labels(url, mlflow, Path(home), seed)


def worse_on_a_slice(url: str, home: str, mlflow: str) -> Report:
    from proofs.fight import whole

    return whole.worse_on_a_slice(url, mlflow, Path(home))


def inflated_metrics(url: str, home: str, mlflow: str) -> Report:
    from proofs.fight import whole

    return whole.inflated_metrics(url, mlflow, Path(home))


def lucks(url: str, home: str, first: int, count: int) -> list[Luck]:
    from proofs.fight import returning

    return returning.lucks(first, count)


def retrains(url: str, home: str, mlflow: str, group: int) -> list[Fights]:
    from proofs.fight import chance

    return chance.retrains(Path(home), group)


def truth(url: str, home: str, mlflow: str, fights: int) -> list[Fights]:
    """Fights whose truth is known: equals, and a challenger that is truly better."""
    from proofs.fight import chance

    folder = Path(home)
    return [
        *(chance.chance_alone(folder, 2 * fights, challengers, seed=1) for challengers in (1, 3)),
        *(chance.power(folder, fights, challengers, seed=1) for challengers in (1, 3)),
        chance.beyond_sight(folder, fights, seed=1),
    ]


def _empty(home: str) -> Path:
    return Path(tempfile.mkdtemp(dir=home))
