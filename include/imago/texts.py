"""Texts from outside: what a person typed, a file holds or another program said, on its way to where people read it.

Whatever it was, `line` makes one line of it that a log, a ledger's column, a message and a terminal show as they show
any other: no sign that starts a line of its own, turns the direction of reading, colours a terminal or that Postgres
refuses, and no more signs than asked for. What cannot be shown is written out (`\\n`, `\\x1b`, `\\udcff`), so nothing
is lost in silence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

LONGEST = 2000
# An index of Postgres takes 2,700 bytes, of up to four a sign.
LONGEST_NAME = 300
# A text among the facts of a JSON column.
LONGEST_FACT = 20_000
# All of one JSON column; a value that is no text counts as eight signs.
LONGEST_JSON = 2_000_000


def line(value: Any, longest: int = LONGEST) -> str:
    """A text as one line of at most `longest` signs that can be shown.

    >>> line("all is well\\n2026-01-01 ERROR forged\\x1b[31m \\udcff")
    'all is well\\\\n2026-01-01 ERROR forged\\\\x1b[31m \\\\udcff'
    >>> line("a very long text", longest=7)
    'a very…'
    """
    text = as_text(value)
    beginning = text[: longest + 1]
    if not beginning.isprintable():
        beginning = "".join(sign if sign.isprintable() else _written(sign) for sign in beginning)
    return beginning if len(beginning) <= longest else beginning[: longest - 1] + "…"


def as_text(value: Any) -> str:
    """The text of anything, also of an exception that cannot say its own: then the name of its type."""
    try:
        return str(value)
    except Exception:
        return type(value).__name__


def storable(value: Any, longest: int = LONGEST_FACT, in_all: int = LONGEST_JSON) -> Any:
    """A value of a JSON column as Postgres takes it: in its texts NUL and halves of surrogates are written out, and
    each ends after `longest` signs; numbers that JSON does not have are the texts `nan`, `inf` and `-inf`. After
    `in_all` signs a list or mapping ends with how many entries were left out. Line breaks stay: no log shows such a
    column as it is."""
    return _Bounded(longest, in_all).of(value)


class _Bounded:
    def __init__(self, longest: int, in_all: int) -> None:
        self.longest = longest
        self.rest = in_all

    def of(self, value: Any) -> Any:
        if isinstance(value, dict):
            pairs: dict[Any, Any] = {}
            for count, (name, entry) in enumerate(value.items()):
                if self.rest <= 0:
                    return pairs | {"…": _left_out(len(value) - count)}
                pairs[self.of(name)] = self.of(entry)
            return pairs
        if isinstance(value, list | tuple):
            entries: list[Any] = []
            for count, entry in enumerate(value):
                if self.rest <= 0:
                    return [*entries, _left_out(len(value) - count)]
                entries.append(self.of(entry))
            return entries
        value = _single(value, self.longest)
        self.rest -= len(value) if isinstance(value, str) else 8
        return value


def _left_out(count: int) -> str:
    return f"… {count:,} more left out"


def _single(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        text = value[: longest + 1]
        if not _is_storable(text):
            text = "".join(_written(sign) if sign == "\x00" or "\ud800" <= sign <= "\udfff" else sign for sign in text)
        return text if len(text) <= longest else text[: longest - 1] + "…"
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    return value


def as_lines(summary: Mapping[str, Any]) -> str:
    """A summary as a person reads it in a log. Its values may come from data: each of their lines is indented, so that
    none passes for a line of the log's own.

    >>> print(as_lines({"rows": 3, "seen": "odd\\x1b"}))
      rows  3
      seen  odd\\x1b
    """
    width = max((len(key) for key in summary), default=0)
    lines = []
    for key, value in summary.items():
        text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
        parts = [line(part, LONGEST_FACT) for part in text.strip().splitlines()[:LONGEST]]
        told = "".join(parts) if len(parts) < 2 else "".join(f"\n    {part}" for part in parts)
        lines.append(f"  {line(key, LONGEST_NAME):<{width}}  {told}")
    return "\n".join(lines)


def to_json(value: Any) -> str:
    """The JSON of a storable value; the serializer of the ledger's engines."""
    return json.dumps(storable(value))


def _is_storable(text: str) -> bool:
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def _written(sign: str) -> str:
    return sign.encode("unicode_escape").decode()
