"""The command line as a person calls it: words in, what was printed and the exit code out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def imago(dev, monkeypatch, capsys, tmp_path) -> Callable[..., Said]:
    """Calls the command line in this process, with the environment dev of the fixture."""
    from imago.cli import app

    monkeypatch.setenv("IMAGO_HOME", str(tmp_path / "no-stack"))
    for name, value in _variables(dev).items():
        monkeypatch.setenv(name, value)

    def call(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["imago", *words])
        code = 0
        try:
            app()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return call


def _variables(env) -> dict[str, str]:
    prefix = f"IMAGO_{env.name.upper()}_"
    return {
        f"{prefix}STORAGE_ROOT": env.storage_root,
        f"{prefix}LEDGER_URL": str(env.ledger_url.get_secret_value()),
        f"{prefix}LEDGER_SCHEMA": env.ledger_schema,
        f"{prefix}MLFLOW_URI": env.mlflow_uri,
    }
