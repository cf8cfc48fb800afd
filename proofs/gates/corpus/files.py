"""Bad bytes, whatever they were meant to say."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import partial

from proofs.gates import mutators as m
from proofs.gates.cases import Case, raw_case
from proofs.gates.spoiling import bytes_of, checksum


def cases() -> Iterable[Case]:
    """Corruption on the way (the checksum is that of the good file) and at the source (the checksum fits)."""
    places = random.Random(2013)
    for n in range(8):
        at = places.random()
        kind = ("schedule", "weather")[n % 2]
        yield raw_case(
            "corrupt bytes", f"{kind}, one bit at {at:.4f} of it",
            bytes_of(kind, partial(m.flip_bit, at=at), fitting=False), None, "checksum",
        )  # fmt: skip
    for _ in range(4):
        at = places.random()
        yield raw_case(
            "corrupt bytes", f"outcomes, one bit at {at:.4f} of it",
            bytes_of("outcomes", partial(m.flip_bit, at=at), fitting=False), None, "checksum",
            table="outcomes",
        )  # fmt: skip
    yield raw_case(
        "corrupt bytes",
        "planes, one bit in the middle",
        bytes_of("planes", lambda data: m.flip_bit(data, 0.5), fitting=False, ds=None),
        None,
        "checksum",
    )
    yield raw_case(
        "truncated to half of the bytes",
        "schedule",
        bytes_of("schedule", lambda data: m.cut_off(data, 0.5), fitting=False),
        None,
        "checksum",
    )
    yield raw_case(
        "truncated to half of the bytes",
        "weather, checksum of the half",
        bytes_of("weather", lambda data: m.cut_off(data, 0.5), fitting=True),
        None,
        "readable",
    )
    yield raw_case(
        "truncated to half of the bytes",
        "outcomes, checksum of the half",
        bytes_of("outcomes", lambda data: m.cut_off(data, 0.5), fitting=True),
        None,
        "readable",
        table="outcomes",
    )
    yield raw_case(
        "not Parquet",
        "schedule, no bytes",
        bytes_of("schedule", lambda data: b"", fitting=True),
        None,
        "readable",
        "empty",
    )
    yield raw_case(
        "not Parquet",
        "schedule, an error page",
        bytes_of("schedule", lambda data: b"<html>502 Bad Gateway</html>", fitting=True),
        None,
        "readable",
    )
    yield raw_case(
        "not Parquet",
        "weather, a broken footer",
        bytes_of("weather", lambda data: data[:-4] + b"PAR0", fitting=True),
        None,
        "readable",
    )
    yield raw_case("no fitting checksum", "schedule, none came", checksum("schedule", None), None, "checksum")
    yield raw_case(
        "no fitting checksum",
        "weather, that of something else",
        checksum("weather", lambda data: data[::-1]),
        None,
        "checksum",
    )
    yield raw_case(
        "no fitting checksum", "schedule, an empty one", checksum("schedule", lambda data: b""), None, "checksum"
    )
