"""The dbt project on disk and its manifest, kept between runs.

Parsing costs seconds and gives the same result for the same files, so the parsed manifest is kept in the state folder
under a digest of all that it was made from. Many processes may start at once: each writes a whole file under its own
name and renames it into place.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from imago.dbt.process import collector_paused, scratch_folder
from imago.errors import ImagoError, SettingsError

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

log = logging.getLogger(__name__)

_IGNORED = {"target", "logs", "dbt_packages"}
_TEXTS = {".sql", ".yml", ".yaml", ".md", ".csv"}
_PARSES = 3
_SLEWED = 0.01  # seconds that the clock may lose in a parse without being set back


def project_folder() -> Path:
    """The folder with `dbt_project.yml`: `IMAGO_DBT_PROJECT`, else `dbt_project/` above the working folder or
    above this code."""
    given = os.environ.get("IMAGO_DBT_PROJECT")
    if given:
        folder = Path(given).expanduser().resolve()
        if not (folder / "dbt_project.yml").is_file():
            raise SettingsError(
                "IMAGO_DBT_PROJECT names no dbt project",
                seen=given,
                next_step="set it to the folder that holds dbt_project.yml",
            )
        return folder
    here = Path.cwd().resolve()
    for start in (here, *here.parents, *Path(__file__).resolve().parents):
        if (start / "dbt_project" / "dbt_project.yml").is_file():
            return start / "dbt_project"
    raise SettingsError(
        "the dbt project is not found",
        next_step="run from the project's folder, or set IMAGO_DBT_PROJECT to dbt_project/",
    )


def manifest(target: str) -> Manifest:
    """A fresh copy of the project's manifest for one target: a run fills it with its own compiled SQL."""
    return _decoded(_state_folder(), project_digest(project_folder(), target), target)


def manifest_to_read(target: str) -> Manifest:
    """The manifest for those who only look something up in it, shared by all of them in this process."""
    return _shared(_state_folder(), project_digest(project_folder(), target), target)


def project_digest(folder: Path, target: str) -> str:
    """The digest of all that a manifest is made from: the project's files, the target, and the versions of dbt."""
    from importlib.metadata import version

    digest = hashlib.sha256(f"{target} {version('dbt-core')} {version('dbt-adapters')}".encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not _IGNORED.intersection(path.relative_to(folder).parts):
            digest.update(f"\0{path.relative_to(folder)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _decoded(state: Path, digest: str, target: str) -> Manifest:
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    with collector_paused():
        loaded: Manifest = Manifest.from_msgpack(_kept_bytes(state, digest, target), decoder=extended_mashumuro_decoder)
        loaded.build_flat_graph()
    return loaded


_shared = functools.lru_cache(maxsize=4)(_decoded)


@functools.lru_cache(maxsize=8)
def _kept_bytes(state: Path, digest: str, target: str) -> bytes:
    kept = state / f"manifest-{target}-{digest[:24]}.msgpack"
    if kept.is_file():
        return kept.read_bytes()
    data = _parse(target)
    state.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=state, suffix=".tmp")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(temporary, kept)
    return data


def _parse(target: str) -> bytes:
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumaro_encoder

    for _ in range(_PARSES):
        started, began = time.time(), time.monotonic()
        with collector_paused(), scratch_folder() as scratch:
            outcome = dbtRunner().invoke(["parse", *arguments(target, scratch), "--no-partial-parse"])
        graph = outcome.result if outcome.success and isinstance(outcome.result, Manifest) else None
        if graph is not None and _is_whole(graph, started):
            packed: bytes = graph.to_msgpack(extended_mashumaro_encoder)
            return packed
        if graph is None and time.time() - started >= time.monotonic() - began - _SLEWED:
            raise _unparsed(outcome.exception)
        log.warning("the clock was set back while dbt parsed the project, which leaves it incomplete: parsing again")
    raise ImagoError(
        f"the clock was set back during each of {_PARSES} parses of the dbt project, which leaves it incomplete",
        rule="dbt parse",
        next_step="see that one service alone sets the machine's clock (`timedatectl`), then clear the failed task",
    )


def _unparsed(error: BaseException | None) -> ImagoError:
    """What dbt says, and the file where dbt names none: of one that is not UTF-8 it only says at which byte."""
    folder, file = project_folder(), None
    if isinstance(error, UnicodeDecodeError):
        texts = (path for path in sorted(folder.rglob("*")) if path.suffix in _TEXTS and path.is_file())
        file = next((path for path in texts if not _is_text(path.read_bytes())), None)
    return ImagoError(
        f"the dbt project does not parse: {error}",
        rule="dbt parse",
        file=str(file.relative_to(folder.parent)) if file else None,
        next_step=f"save {file.relative_to(folder.parent)} as UTF-8" if file
        else f"correct the named file in {folder.name}/",
    )  # fmt: skip


def _is_text(data: bytes) -> bool:
    try:
        return bool(data.decode()) or not data
    except UnicodeDecodeError:
        return False


def _is_whole(graph: Manifest, started: float) -> bool:
    """Whether all of it was made after the parse had started. What looks older counts for dbt as resolved by an earlier
    parse: where the clock was set back, models stand there without parents, and tests without their model."""
    return all(one.created_at >= started for one in (*graph.nodes.values(), *graph.macros.values()))


def arguments(target: str, scratch: str) -> list[str]:
    """What every dbt call is told: where the project is, to be quiet, and to leave nothing behind but in `scratch`."""
    folder = str(project_folder())
    return [
        *("--project-dir", folder, "--profiles-dir", folder, "--target", target),
        *("--target-path", scratch, "--log-path", scratch, "--log-level", "none", "--log-level-file", "none"),
        *("--quiet", "--no-write-json", "--no-version-check", "--no-print"),
    ]  # fmt: skip


def _state_folder() -> Path:
    home = os.environ.get("IMAGO_HOME")
    return (Path(home).expanduser().resolve() if home else project_folder().parent / ".imago") / "dbt"
