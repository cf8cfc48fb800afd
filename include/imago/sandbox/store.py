"""Where the sandbox keeps its channels and messages: one SQLite file, so that a restart shows what was there."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

_CHANNEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")

_TABLES = """
create table if not exists channels (id text primary key, name text not null unique);
create table if not exists messages (
    channel text not null references channels (id), ts text not null, thread_ts text, broadcast integer not null,
    text text not null, blocks text not null, metadata text, edited_ts text, version integer not null,
    primary key (channel, ts)
);
"""


class Store:
    """Channels and messages, safe to use from several threads.

    `version` rises with every change, so that a page can ask whether anything is new.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(folder / "messages.sqlite", check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("pragma journal_mode = wal")
        self._connection.executescript(_TABLES)
        newest = self._connection.execute("select coalesce(max(version), 0), max(ts) from messages").fetchone()
        self.version: int = newest[0]
        self._last_ts = float(newest[1] or 0.0)

    def close(self) -> None:
        """Closes the file; the store cannot be used afterwards."""
        with self._lock:
            self._connection.close()

    def channel(self, given: str, *, create: bool) -> sqlite3.Row | None:
        """The channel by id, `#name` or name. With `create`, a well-formed new name makes one (Slack would ask a
        person to)."""
        name = given.removeprefix("#")
        with self._lock:
            row = self._connection.execute(
                "select id, name from channels where id = ? or name = ?", (given, name)
            ).fetchone()
            if row is None and create and _CHANNEL_NAME.fullmatch(name):
                identity = "C" + hashlib.sha256(name.encode()).hexdigest()[:10].upper()
                self._connection.execute("insert into channels values (?, ?)", (identity, name))
                self.version += 1
                row = self._connection.execute("select id, name from channels where id = ?", (identity,)).fetchone()
            return row

    def channels(self) -> list[sqlite3.Row]:
        """All channels by name."""
        with self._lock:
            return self._connection.execute("select id, name from channels order by name").fetchall()

    def has_message(self, channel: str, ts: str) -> bool:
        """Whether that message was ever posted."""
        with self._lock:
            found = self._connection.execute("select 1 from messages where channel = ? and ts = ?", (channel, ts))
            return found.fetchone() is not None

    def post(
        self,
        *,
        channel: str,
        text: str,
        blocks: list[dict[str, Any]],
        thread_ts: str | None,
        broadcast: bool,
        metadata: dict[str, Any] | None,
    ) -> str:
        """Keeps a new message; its `ts`, which is unique and rises."""
        with self._lock:
            self._last_ts = max(time.time(), self._last_ts + 0.0001)
            ts = f"{self._last_ts:.6f}"
            self.version += 1
            self._connection.execute(
                "insert into messages values (?, ?, ?, ?, ?, ?, ?, null, ?)",
                (
                    channel,
                    ts,
                    thread_ts if thread_ts != ts else None,
                    int(broadcast),
                    text,
                    json.dumps(blocks),
                    json.dumps(metadata) if metadata else None,
                    self.version,
                ),
            )
            return ts

    def update(self, *, channel: str, ts: str, text: str, blocks: list[dict[str, Any]]) -> None:
        """Replaces the text and blocks of a message."""
        with self._lock:
            self.version += 1
            self._connection.execute(
                "update messages set text = ?, blocks = ?, edited_ts = ?, version = ? where channel = ? and ts = ?",
                (text, json.dumps(blocks), f"{time.time():.6f}", self.version, channel, ts),
            )

    def messages(self, channel: str | None = None) -> list[dict[str, Any]]:
        """Messages, oldest first, of one channel (id) or of all."""
        with self._lock:
            rows = self._connection.execute(
                "select m.*, c.name as channel_name from messages m join channels c on c.id = m.channel "
                "where ?1 is null or m.channel = ?1 order by m.ts",
                (channel,),
            ).fetchall()
        return [
            {
                **dict(row),
                "blocks": json.loads(row["blocks"]),
                "metadata": json.loads(row["metadata"]) if row["metadata"] else None,
                "broadcast": bool(row["broadcast"]),
            }
            for row in rows
        ]
