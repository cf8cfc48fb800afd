"""The types of a Delta table's columns, in the words of Hive (Glue, Athena) and of Redshift.

A Delta type is what the table's own log says: a name, or an object for a list, a struct or a map.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from imago.errors import ImagoError

# Delta, Hive, Redshift. A timestamp without a time zone has no other name in either.
_PLAIN = {
    "string": ("string", "varchar(65535)"),
    "boolean": ("boolean", "boolean"),
    "byte": ("tinyint", "smallint"),
    "short": ("smallint", "smallint"),
    "integer": ("int", "integer"),
    "long": ("bigint", "bigint"),
    "float": ("float", "real"),
    "double": ("double", "double precision"),
    "date": ("date", "date"),
    "timestamp": ("timestamp", "timestamp"),
    "timestamp_ntz": ("timestamp", "timestamp"),
    "binary": ("binary", "varbyte"),
}
_DECIMAL = re.compile(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)")


def hive_type(kind: str | Mapping[str, Any]) -> str:
    """The type in Hive's words.

    >>> hive_type({"type": "array", "elementType": "long", "containsNull": True})
    'array<bigint>'
    """
    return _worded(kind, 0)


def redshift_type(kind: str | Mapping[str, Any]) -> str:
    """The type in Redshift's words.

    >>> redshift_type({"type": "array", "elementType": "double", "containsNull": True})
    'array<double precision>'
    """
    return _worded(kind, 1)


def _worded(kind: str | Mapping[str, Any], place: int) -> str:
    if isinstance(kind, str):
        if kind in _PLAIN:
            return _PLAIN[kind][place]
        found = _DECIMAL.fullmatch(kind)
        if found:
            return f"decimal({found[1]},{found[2]})"
    elif kind.get("type") == "array":
        return f"array<{_worded(kind['elementType'], place)}>"
    elif kind.get("type") == "map":
        return f"map<{_worded(kind['keyType'], place)},{_worded(kind['valueType'], place)}>"
    elif kind.get("type") == "struct":
        inside = ",".join(f"{field['name']}:{_worded(field['type'], place)}" for field in kind["fields"])
        return f"struct<{inside}>"
    raise ImagoError(
        "a column has a type that Athena and Redshift do not know",
        rule="types of external tables",
        allowed=", ".join([*_PLAIN, "decimal(p,s)", "array", "map", "struct"]),
        seen=str(kind),
        next_step="publish the column in an allowed type",
    )
