"""Fixtures of the toy world."""

from __future__ import annotations

import pytest
from toy_world import make_spec, publish, rows


@pytest.fixture
def spec():
    """The toy world's model."""
    return make_spec()


@pytest.fixture
def world(dev):
    """The toy world, published in a fresh environment dev."""
    publish(dev, *rows())
    return dev
