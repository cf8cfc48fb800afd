"""Mutants that no test can notice, each with the reason: (module, function, was, now) -> why."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str, str, str], str] = {}
