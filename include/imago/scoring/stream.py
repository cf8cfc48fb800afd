"""A day as a stream: batches go to worker threads and come back in their order, a few at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def workers() -> int:
    """As many threads as this process may use cores. The work is done in libraries that let go of Python's lock."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(work: Callable[[Given], Made], given: Iterable[Given], threads: int) -> Iterator[Made]:
    """`work` of each, in the order given; at most `threads` + 1 are under way or waiting to be taken."""
    if threads == 1:
        yield from map(work, given)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for one in given:
                waiting.append(pool.submit(work, one))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
