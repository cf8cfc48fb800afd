"""Flipped bits and files cut short: every damage to a stored file is caught before the file is used.

Predictions, profiles, features, models and their references prove their bytes: any change has to be refused by an error
that names the file. The Delta log says which file holds a day; there a change is either refused, or the day's rows come
out equal (a digit of a time, a statistic that nobody reads). Rows that differ are a broken promise, wherever the damage
is.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from imago import ledger
from imago.environments import Environment
from imago.errors import ImagoError
from imago.jobs import monitoring, scoring
from imago.ledger import champions
from imago.ledger.champions import Champion
from imago.registry import load_model
from imago.tables import Table
from imago.tables.digest import content_digest
from proofs.postgres import new_environment
from proofs.report import Report
from proofs.scoring import naive
from proofs.scoring.world import CONTEXT, KEY, SPEC, World, corrected, publish, table

TRUNCATED = 4  # every so many damages cut the file short, the others flip a bit


@dataclass(frozen=True)
class Target:
    """One stored file and its use: `use` gives a value that tells whether it is the right one. `strict`: a damage that
    changes nothing would show that nobody looked; of a `mended` file, that it was not written anew."""

    kind: str
    path: Path
    use: Callable[[], Any]
    strict: bool = True
    mended: bool = False


def run(url: str, world: World, *, damages: int) -> Report:
    """At least that many damages, spread over all kinds of files."""
    report = Report("damaged files")
    naive.plant()
    with tempfile.TemporaryDirectory(prefix="imago-damage-") as folder:
        env = new_environment(url, Path(folder))
        targets = _targets(env, world)
        outcomes: Counter[tuple[str, str]] = Counter()
        each = -(-damages // len({target.kind for target in targets}))
        for kind in dict.fromkeys(target.kind for target in targets):
            mine = [target for target in targets if target.kind == kind]
            for number in range(each):
                target = mine[number % len(mine)]
                outcomes[kind, _tried(report, target, number)] += 1
    caught = sum(count for (_, outcome), count in outcomes.items() if outcome == "caught")
    report.say(f"{report.cases:,} damages: {caught:,} caught, {outcomes_of(outcomes, 'harmless')} harmless")
    for kind in dict.fromkeys(target.kind for target in targets):
        told = ", ".join(f"{count} {outcome}" for (one, outcome), count in sorted(outcomes.items()) if one == kind)
        report.say(f"{kind}: {told}")
    return report


def outcomes_of(outcomes: Counter[tuple[str, str]], wanted: str) -> int:
    """How many damages ended so."""
    return sum(count for (_, outcome), count in outcomes.items() if outcome == wanted)


def _tried(report: Report, target: Target, number: int) -> str:
    """One damage to one file, and what came of its use."""
    chance = random.Random(f"{target.kind} {number}")
    right, whole = target.use(), target.path.read_bytes()
    with _damaged(target.path, chance, cut=number % TRUNCATED == 0) as what:
        try:
            outcome = "harmless" if target.use() == right else "WRONG"
            seen = "it was read as if nothing were wrong" if outcome == "harmless" else "other values came out"
            if target.mended and outcome == "harmless" and target.path.read_bytes() == whole:
                outcome = "mended"
        except ImagoError as error:
            outcome, seen = "caught", str(error)
            if target.strict and target.path.name not in seen:
                outcome = "caught, but the file is not named"
        except Exception as error:
            outcome, seen = "caught by accident", repr(error)[:300]
    good = outcome in ("caught", "mended") or (outcome == "harmless" and not target.strict)
    report.check(f"{target.kind}, {what}", good, f"{outcome}: {seen}")
    return outcome


@contextmanager
def _damaged(path: Path, chance: random.Random, *, cut: bool) -> Iterator[str]:
    """The file with one flipped bit, or cut short; as it was, afterwards."""
    whole = path.read_bytes()
    if cut:
        keep = chance.choice([0, len(whole) - 1, chance.randrange(len(whole)), _line_end(whole, chance)])
        damaged, what = whole[:keep], f"{path.name} cut to {keep} of {len(whole)} bytes"
    else:
        place, bit = chance.randrange(len(whole)), chance.randrange(8)
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << bit
        damaged, what = bytes(spoiled), f"{path.name}, bit {bit} of byte {place} of {len(whole)}"
    path.write_bytes(damaged)
    try:
        yield what
    finally:
        path.write_bytes(whole)


def _line_end(whole: bytes, chance: random.Random) -> int:
    """A place right behind a line, where a cut leaves nothing that cannot be parsed; else the middle."""
    ends = [place + 1 for place, sign in enumerate(whole[:-1]) if sign == 10]
    return chance.choice(ends) if ends and len(ends) < 100 else len(whole) // 2


def _targets(env: Environment, world: World) -> list[Target]:
    """A world with a history: days of all champions, some of them scored twice from corrected features."""
    world.furnish(env, world.plan.days)
    for reign in world.reigns:
        world.copy(env, reign.snapshot)
    days = world.plan.days[:: max(1, len(world.plan.days) // 6)]
    for ds in days:
        scoring.score(env, SPEC, ds, CONTEXT)
    publish(env, corrected(world.features(days[::2]), 3.0))
    for ds in days[::2]:
        scoring.score(env, SPEC, ds, CONTEXT)
    found = []
    for name, key in {"predictions": KEY, "profiles": ("column",), "features": KEY}.items():
        stored = table(env, name)
        for ds in days:
            found += [Target(name, Path(uri), partial(_digest, stored, ds, key)) for uri in stored.files([ds])]
        log = Path(env.storage_root) / stored.relative / "_delta_log"
        use = partial(_digests, stored, days, key)
        found += [Target("Delta log", path, use, strict=False) for path in sorted(log.iterdir())]
    with ledger.connect(env).connect() as connection:
        crowned = champions.history(connection, SPEC.name)
    for champion in crowned:
        for kind, name in {"onnx": "model.onnx", "skops": "model.skops"}.items():
            if name in champion.artifacts:
                loaded = partial(_loaded, env, champion, kind)
                found += [Target("models", Path(champion.artifact_uri) / one, loaded) for one in (name, "model.json")]
        folder = Path(env.storage_root) / f"models/{SPEC.name}/references/{champion.artifact_sha256}"
        referred = partial(_reference, env, champion)
        found += [Target("references", path, referred, mended=True) for path in sorted(folder.iterdir())]
    return found


def _digest(stored: Table, ds: str, key: tuple[str, ...]) -> str:
    return content_digest(stored.require(ds), key)


def _digests(stored: Table, days: Sequence[str], key: tuple[str, ...]) -> list[str]:
    return [_digest(stored, ds, key) for ds in days]


def _loaded(env: Environment, champion: Champion, kind: str) -> str:
    return load_model(env, champion, format=kind).sha256


def _reference(env: Environment, champion: Champion) -> bytes:
    return monitoring.reference_of(env, SPEC, champion, CONTEXT).to_json()
