"""The sandbox's files: uploaded in Slack's three steps (ask for an address, send the bytes, complete), then shown."""

from __future__ import annotations

import re
import secrets
import threading
from pathlib import Path

_ID = re.compile(r"F[A-Z0-9]{10}")
_PNG = b"\x89PNG\r\n\x1a\n"
LARGEST = 5_000_000


class Files:
    """PNG files under one folder. A file can be shown once its upload is complete."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._announced: dict[str, int] = {}
        self._lock = threading.Lock()

    def announce(self, length: int) -> str | None:
        """The id of a file of so many bytes that is to come; None for a length that is not taken."""
        if not 0 < length <= LARGEST:
            return None
        file_id = "F" + secrets.token_hex(5).upper()
        with self._lock:
            self._announced[file_id] = length
        return file_id

    def receive(self, file_id: str, content: bytes) -> bool:
        """Keeps the bytes of an announced file, if they are what was announced."""
        with self._lock:
            if self._announced.get(file_id) != len(content) or not content.startswith(_PNG):
                return False
        (self.folder / f"{file_id}.part").write_bytes(content)
        return True

    def complete(self, file_id: str) -> bool:
        """Lets messages show the file."""
        part = self.folder / f"{file_id}.part"
        with self._lock:
            if self._announced.pop(file_id, None) is None or not part.exists():
                return False
        part.replace(self.folder / f"{file_id}.png")
        return True

    def path(self, file_id: str) -> Path | None:
        """Where a complete file lies."""
        path = self.folder / f"{file_id}.png"
        return path if _ID.fullmatch(file_id) and path.exists() else None
