"""The storage requests of a task on a local folder, counted; and the one at which it dies.

Counted is what the task asks of its storage, whoever in the product asks: every call of pyarrow's local filesystem,
every write into and closing of one of its files, every call of a Delta table, and every file that Python itself opens,
lists, moves or removes below the storage root. The product knows nothing of it: the libraries are wrapped in the
process that is about to die. The signal is SIGKILL, so nothing is tidied up.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

When = Literal["before", "after"]
# What Python tells its audit hooks before it touches a file.
_TOUCHES = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir")


@dataclass(frozen=True)
class Kill:
    """Death before or after the storage request with this number, counted from 1."""

    number: int
    when: When

    def __str__(self) -> str:
        return f"{self.when} request {self.number}"


@dataclass
class Counter:
    """Counts the requests of this process, and kills it at one of them. `names` are what was asked for, in order."""

    kill: Kill | None
    names: list[str] = field(default_factory=list)
    _inside: bool = False

    def ask(self, name: str, call: Callable[[], Any]) -> Any:
        """One request. What it asks in turn is part of it."""
        if self._inside:
            return call()
        self._inside = True
        try:
            number = self.begin(name)
            answer = call()
            self._strike(number, "after")
            return answer
        finally:
            self._inside = False

    def begin(self, name: str) -> int:
        """Counts a request that is about to be made. One that Python made itself is over when the next begins."""
        self._strike(len(self.names), "after")
        self.names.append(name)
        self._strike(len(self.names), "before")
        return len(self.names)

    def touched(self, event: str, given: tuple[Any, ...], root: str) -> None:
        """Python is about to touch a file."""
        if event not in _TOUCHES or self._inside or not given:
            return
        path = given[0]
        if isinstance(path, str | os.PathLike) and str(path).startswith(root):
            self._inside = True
            try:
                self.begin(event)
            finally:
                self._inside = False

    def _strike(self, number: int, when: When) -> None:
        if self.kill == Kill(number, when):
            die()


def die() -> None:
    """The end of this process, at once."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def count(root: str, kill: Kill | None) -> Counter:
    """Counts from now on what this process asks of the storage in the folder `root`."""
    import deltalake
    from pyarrow import fs

    counter = Counter(kill)
    real: Callable[[], fs.FileSystem] = fs.LocalFileSystem
    fs.LocalFileSystem = lambda *given, **named: _filesystem(real(*given, **named), counter)
    for name, member in inspect.getmembers_static(deltalake.DeltaTable):
        if callable(getattr(deltalake.DeltaTable, name)) and (name == "__init__" or not name.startswith("_")):
            setattr(deltalake.DeltaTable, name, _counted(f"delta {name}", member, counter))
    sys.addaudithook(lambda event, given: counter.touched(event, given, root))
    return counter


def _counted(name: str, member: Any, counter: Counter) -> Any:
    """A method, class method or static method whose calls are counted."""
    kind = type(member) if isinstance(member, classmethod | staticmethod) else None
    call = member.__func__ if kind else member

    @functools.wraps(call)
    def counted(*given: Any, **named: Any) -> Any:
        return counter.ask(name, lambda: call(*given, **named))

    return kind(counted) if kind else counted


def _filesystem(real: Any, counter: Counter) -> Any:
    """The real filesystem, with every call counted."""
    from pyarrow import PythonFile, fs

    def passed(name: str, *words: str, **always: Any) -> Callable[..., Any]:
        """A call that is passed on; pyarrow gives the values of `words` by place, and takes them by name."""

        def call(self: Any, *given: Any) -> Any:
            places = len(given) - len(words)
            named = {**always, **dict(zip(words, given[places:], strict=True))}
            answer = counter.ask(name, lambda: getattr(real, name)(*given[:places], **named))
            return PythonFile(_Output(answer, counter), mode="w") if "metadata" in words else answer

        return call

    simple = ("get_file_info", "delete_dir", "delete_file", "move", "copy_file", "open_input_file")
    handler = type(
        "Handler",
        (fs.FileSystemHandler,),
        {
            **{name: passed(name) for name in simple},
            "create_dir": passed("create_dir", "recursive"),
            "delete_dir_contents": passed("delete_dir_contents", "missing_dir_ok"),
            "get_file_info_selector": passed("get_file_info"),
            "open_input_stream": passed("open_input_stream", compression=None),
            "open_output_stream": passed("open_output_stream", "metadata", compression=None),
            "open_append_stream": passed("open_append_stream", "metadata", compression=None),
            "delete_root_dir_contents": passed("delete_dir_contents"),
            "get_type_name": lambda self: "local",
            "normalize_path": lambda self, path: real.normalize_path(path),
        },
    )
    return fs.PyFileSystem(handler())


class _Output:
    """A file that is being written; each write, and its closing, is a request."""

    def __init__(self, file: Any, counter: Counter) -> None:
        self._file, self._counter = file, counter
        self.closed = False

    def write(self, data: Any) -> Any:
        return self._counter.ask("write", lambda: self._file.write(data))

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._counter.ask("close", self._file.close)
