"""`stack.json`: which ports the stack uses and which processes it started."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass

from imago.stack import processes
from imago.stack.layout import Layout, read_json, write_private


@dataclass(frozen=True)
class Running:
    """What is written down of a started component."""

    name: str
    pid: int
    mark: str
    fingerprint: str
    started_at: str

    @property
    def alive(self) -> bool:
        return processes.is_alive(self.pid, self.mark)


class StackState:
    """`stack.json`: ports and started components. Written after every change, so that a crash forgets nobody."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        content = read_json(layout.state_file)
        self.ports: dict[str, int] = dict(content.get("ports", {}))
        self.urls: dict[str, str] = dict(content.get("urls", {}))
        self.components = {name: Running(**entry) for name, entry in content.get("components", {}).items()}

    def save(self) -> None:
        content = {
            "ports": self.ports,
            "urls": self.urls,
            "components": {name: asdict(entry) for name, entry in sorted(self.components.items())},
        }
        write_private(self._layout.state_file, json.dumps(content, indent=1) + "\n")

    def put(self, entry: Running) -> None:
        with self._lock:
            self.components[entry.name] = entry
            self.save()

    def drop(self, name: str) -> None:
        with self._lock:
            if self.components.pop(name, None) is not None:
                self.save()
