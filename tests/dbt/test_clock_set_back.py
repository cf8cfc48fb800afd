"""A clock that is set back while dbt parses: dbt then takes models for resolved, and leaves them without parents."""

from __future__ import annotations

import time

import pytest
from dbt.contracts.graph.manifest import Manifest
from dbt.parser.manifest import ManifestLoader, extended_mashumuro_decoder

from imago.dbt import project
from imago.errors import ImagoError

# Before macros are read the parse fails for one that is not there; after it, it succeeds without any parents.
STEPS = ("__init__", "load_and_parse_macros")


@pytest.fixture
def set_back(monkeypatch):
    """`set_back(times, at)`: in so many parses the clock is set back by an hour, after that step of dbt's has begun for
    the first time. Gives the list of parses."""
    real = time.time
    loaders: list[ManifestLoader] = []

    def of(times: int, at: str) -> list[ManifestLoader]:
        step, hours = getattr(ManifestLoader, at), 0

        def late(self, *given, **options):
            nonlocal hours
            told = step(self, *given, **options)
            if all(one is not self for one in loaders):
                loaders.append(self)
                hours += len(loaders) <= times
            return told

        monkeypatch.setattr(ManifestLoader, at, late)
        monkeypatch.setattr(time, "time", lambda: real() - 3600 * hours)
        return loaders

    return of


def parents(packed: bytes) -> dict[str, list[str]]:
    graph = Manifest.from_msgpack(packed, decoder=extended_mashumuro_decoder)
    return {key: sorted(node.depends_on_nodes) for key, node in graph.nodes.items()}


@pytest.mark.parametrize("at", STEPS)
def test_an_incomplete_parse_is_done_again_and_never_kept(set_back, at):
    expected = parents(project._parse("dev"))
    assert any(expected.values())
    parses = set_back(2, at)
    assert parents(project._parse("dev")) == expected
    assert len(parses) == 3


@pytest.mark.parametrize("at", STEPS)
def test_a_clock_that_is_set_back_each_time_is_refused(set_back, at):
    parses = set_back(100, at)
    with pytest.raises(ImagoError, match="the clock was set back during each of 3 parses"):
        project._parse("dev")
    assert len(parses) == 3


def test_dbt_itself_loses_the_parents_then(set_back, monkeypatch):
    # What the check is for: without it, this manifest would be kept.
    monkeypatch.setattr(project, "_is_whole", lambda graph, started: True)
    set_back(1, STEPS[-1])
    lost = parents(project._parse("dev"))
    assert lost
    assert not any(lost.values())
