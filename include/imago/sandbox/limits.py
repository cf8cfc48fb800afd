"""Slack's rate limits, so that what holds in the sandbox holds in the real workspace."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable


class RateLimit:
    """A bucket of `burst` tokens per key, refilled at `per_second`.

    >>> limit = RateLimit(per_second=1.0, burst=1, clock=lambda: 0.0)
    >>> limit.wait_for("#a"), limit.wait_for("#a")
    (0, 1)
    """

    def __init__(self, *, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self.burst = burst
        self.clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def wait_for(self, key: str) -> int:
        """Takes a token; 0 when there was one, else the whole seconds to wait (nothing was taken)."""
        with self._lock:
            now = self.clock()
            tokens, since = self._buckets.get(key, (float(self.burst), now))
            tokens = min(float(self.burst), tokens + (now - since) * self.per_second)
            if tokens >= 1.0:
                self._buckets[key] = (tokens - 1.0, now)
                return 0
            self._buckets[key] = (tokens, now)
            return max(1, math.ceil((1.0 - tokens) / self.per_second))
