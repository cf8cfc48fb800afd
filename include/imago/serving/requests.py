"""The request log: written in the background, so that no answer waits for it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

log = logging.getLogger(__name__)

LONGEST_QUEUE = 10_000
BATCH = 500
_END = object()


class RequestLog:
    """Hands entries to `write` in batches, on a thread of its own.

    When writing falls behind by `LONGEST_QUEUE` entries, or fails, entries are lost and counted in `lost`: the endpoint
    answers on. `close` writes what is left.
    """

    def __init__(self, write: Callable[[Sequence[Mapping[str, Any]]], None]) -> None:
        self.lost = 0
        self._write = write
        self._waiting: queue.Queue[Any] = queue.Queue(LONGEST_QUEUE)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def add(self, entry: Mapping[str, Any]) -> None:
        try:
            self._waiting.put_nowait(entry)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        if self._thread is not None:
            self._waiting.put(_END)
            self._thread.join(timeout=10)
            self._thread = None

    def _run(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        ended = False
        while not ended:
            batch = [self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            ended = _END in batch
            entries = [entry for entry in batch if entry is not _END]
            try:
                if entries:
                    self._write(entries)
            except SQLAlchemyError:
                self.lost += len(entries)
                log.warning("%s requests could not be logged", len(entries), exc_info=True)
