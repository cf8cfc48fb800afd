"""A world with a champion, for the stages that begin with one."""

from __future__ import annotations

import pytest
from champion_world import DAYS, SPEC, crown, publish, world_rows


@pytest.fixture
def reign(dev):
    """Environment dev with 60 days of features and outcomes of the model `toy`, and its first champion."""
    features, outcomes = world_rows()
    publish(dev, "features", features, DAYS)
    publish(dev, "outcomes", outcomes, DAYS)
    crown(dev)
    return dev


@pytest.fixture
def toy():
    """The spec of that model."""
    return SPEC
