"""The dbt project of the worlds: the shipped macros and tests over the worlds' own models."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "dbt_project"
_SHARED = ("dbt_project.yml", "profiles.yml", "macros", "tests")


def write_project(folder: Path, *, without: Iterable[str] = ()) -> Path:
    """Writes a dbt project into `folder`, made anew, and returns it. `without` names features that have not joined yet:
    each line of a model that ends with `joins: NAME` in a comment is left out."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name in _SHARED:
        source = SHIPPED / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    shutil.copytree(HERE / "models", folder / "models")
    for path in (folder / "models").rglob("*.*"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.rstrip().endswith(tuple(f"joins: {name}" for name in without))]
        path.write_text("".join(kept if without else lines), encoding="utf-8")
    return folder
