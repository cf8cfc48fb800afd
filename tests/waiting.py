"""How tests wait: for something to become true, as long as a slow machine needs."""

from __future__ import annotations

import time
from collections.abc import Callable

# Seconds until a wait counts as one that hangs. No promise: only so that a suite with a fault in it comes to an end.
HANGS = 1800.0


def wait_until(condition: Callable[[], object], what: str, *, every: float = 0.02) -> None:
    """Looks `every` so many seconds until the condition holds. Raises AssertionError when it hangs."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < HANGS, f"waited in vain until {what}"
        time.sleep(every)
