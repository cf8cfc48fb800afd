"""Where the embedded stack keeps its things, and how its small files are written."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imago.addresses import checked_root
from imago.errors import StackError

# Below this an Airflow run, its logs and a Postgres checkpoint no longer fit reliably.
LEAST_FREE_BYTES = 500 * 1024 * 1024
# The S3 server takes a list of folders, and Airflow's settings fill in variables.
_NOT_AT_HOME = ",$%"


def project_root(start: Path | None = None) -> Path:
    """The nearest folder, from `start` (default: the working directory) upwards, that holds `dags/`; else `start`."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "dags").is_dir():
            return folder
    return start


def home_folder(project: Path | None = None) -> Path:
    """The state folder: `IMAGO_HOME`, else `.imago/` in the project root."""
    given = os.environ.get("IMAGO_HOME")
    return Path(given).expanduser().resolve() if given else (project or project_root()) / ".imago"


@dataclass(frozen=True)
class Layout:
    """Names the files under one state folder. `project` holds `dags/`, `plugins/` and `airflow_settings.yaml`."""

    root: Path
    project: Path

    @classmethod
    def here(cls) -> Layout:
        """The layout of the working directory's project."""
        project = project_root()
        return cls(root=home_folder(project), project=project)

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def state_file(self) -> Path:
        return self.root / "stack.json"

    @property
    def secrets_file(self) -> Path:
        return self.root / "secrets.json"

    @property
    def given_file(self) -> Path:
        """The settings that a person gave to `imago up`, remembered for the next time."""
        return self.root / "given.env"

    @property
    def imago_env(self) -> Path:
        return self.root / "imago.env"

    @property
    def airflow_env(self) -> Path:
        return self.root / "airflow.env"

    def folder(self, *parts: str) -> Path:
        """A folder under the state folder, made when it is missing."""
        path = self.root.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def prepare(self) -> None:
        """Makes the state folder; refuses, in one sentence, a place that cannot be written, has no room, or has a name
        that one of the servers would read otherwise."""
        self.check_name()
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o700)
            self.logs.mkdir(exist_ok=True)
            probe = self.root / ".probe"
            probe.write_bytes(b"imago" * 1000)
            probe.unlink()
            free = shutil.disk_usage(self.root).free
        if free < LEAST_FREE_BYTES:
            raise StackError(
                f"the disk under {self.root} has only {free // 2**20} MB left",
                allowed=f"at least {LEAST_FREE_BYTES // 2**20} MB",
                next_step="free some room, or point IMAGO_HOME at a folder on another disk",
            )

    def check_name(self) -> None:
        """Raises StackError for a folder whose name a server or Delta would read as another."""
        try:
            checked_root(str(self.root))
            odd = next((sign for sign in str(self.root) if sign in _NOT_AT_HOME), None)
            if odd is not None:
                raise ValueError(f"the path cannot hold {odd!r}; allowed: any other letters, digits, spaces and signs")
        except ValueError as error:
            raise StackError(
                f"the embedded stack cannot live in {str(self.root)!r:.300}: {error}",
                rule="IMAGO_HOME",
                next_step="point IMAGO_HOME at another folder, as ~/imago",
            ) from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a refusal of the operating system to write under `path` into a sentence that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            said = f"{path} cannot be written ({os.strerror(error.errno)})"
            step = "make it writable for you, or point IMAGO_HOME at a folder that is"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            said = f"the disk under {path} is full"
            step = "free some room, or point IMAGO_HOME at a folder on another disk"
        elif error.errno in (errno.ENOTDIR, errno.EEXIST):
            said = f"{path} is not a folder"
            step = "move that file away, or point IMAGO_HOME at a folder"
        else:
            raise
        raise StackError(said, next_step=step) from error


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads, whole or not at all."""
    with writing(path.parent):
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The file's object; empty when there is no file. A torn or hand-broken file is refused by name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        raise StackError(
            f"{path} cannot be read by this user", next_step="run as the user that started the stack"
        ) from error
    except ValueError as error:
        raise StackError(
            f"{path} is not valid JSON", next_step="mend or delete it, then run `imago up` again"
        ) from error
    if not isinstance(content, dict):
        raise StackError(f"{path} does not hold an object", next_step="delete it, then run `imago up` again")
    return content


def write_env(path: Path, variables: Mapping[str, str], *, heading: str) -> None:
    """Writes variables as shell assignments: `set -a; . FILE` and `environment_variables` both read them back."""
    import shlex

    lines = [f"# {heading}", *(f"{name}={shlex.quote(value)}" for name, value in sorted(variables.items()))]
    write_private(path, "\n".join(lines) + "\n")


def read_env(path: Path) -> dict[str, str]:
    """The variables of a file that `write_env` wrote; empty when there is none (or it is another user's)."""
    import shlex

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return {}
    variables = {}
    for line in lines:
        name, found, value = line.partition("=")
        if found and not line.startswith("#"):
            variables[name.strip()] = "".join(shlex.split(value))
    return variables


@contextlib.contextmanager
def exclusive(layout: Layout, *, patience: float = 300.0) -> Iterator[None]:
    """Lets one `up` or `down` at a time work on a state folder; a second one waits for the first."""
    import time

    with writing(layout.root):
        descriptor = os.open(layout.root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StackError(
                        f"another `imago up` or `imago down` has worked on {layout.root} for {patience:.0f} s",
                        next_step="wait for it, or end it and try again",
                    ) from None
                time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)
