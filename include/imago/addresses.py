"""Storage roots as people name them, and how each reader of a file wants its path spelled.

A root may hold spaces, `%`, `#`, quotes, letters of any alphabet and folders like `key=value`. What Delta, DuckDB or
MLflow would take for another place is refused when the settings are read, never when a second partition is published.
"""

from __future__ import annotations

import re
from urllib.parse import quote

# delta-rs decodes `%20` in a path a second time, and stops with a panic at these signs.
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_NEVER = "\\[]|^"
# An address on S3 is a URL to MLflow and DuckDB (`#?`); DuckDB does not find what lies under `*`, nor under signs that
# XML writes in another way.
_NOT_ON_S3 = "#?*&<>"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
# The longest name of a folder; a path of 4,096 and a key of 1,024 bytes, less what Imago writes below the root.
LONGEST_NAME, LONGEST_FOLDER, LONGEST_PREFIX = 255, 3000, 500


def checked_root(value: str) -> str:
    """A storage root without a slash at its end. Raises ValueError that says what is allowed.

    >>> checked_root("/data/our models/year=2026/")
    '/data/our models/year=2026'
    >>> checked_root("s3://bucket/what?")
    Traceback (most recent call last):
    ValueError: an S3 prefix cannot hold '?'; allowed: any other letters, digits, spaces and signs
    """
    on_s3, bare = value.startswith("s3://"), value.rstrip("/")
    if (not on_s3 and not bare.startswith("/")) or bare == "s3:":
        raise ValueError("allowed: s3://bucket[/prefix] or an absolute folder")
    names = bare.removeprefix("s3://").removeprefix("/").split("/")
    if {".", ".."} & set(names):
        raise ValueError("allowed: an address without . or .., so that two roots can be told apart")
    if "" in names:
        raise ValueError("allowed: one slash between two names")
    odd = next((sign for sign in bare if not sign.isprintable()), None)
    if odd is not None:
        raise ValueError(f"allowed: signs that can be seen, and not {odd!a}")
    sign = next((sign for sign in bare if sign in _NEVER or (on_s3 and sign in _NOT_ON_S3)), None)
    if sign is not None:
        what = "an S3 prefix" if on_s3 else "the path"
        raise ValueError(f"{what} cannot hold {sign!r}; allowed: any other letters, digits, spaces and signs")
    encoded = _ENCODED.search(bare)
    if encoded is not None:
        raise ValueError(f"{encoded[0]} would be read as another sign; allowed: % where no two hex digits follow")
    if on_s3 and not _BUCKET.fullmatch(names[0]):
        raise ValueError("allowed: a bucket of 2 to 255 letters, digits, dots, hyphens and underscores")
    longest, size = LONGEST_PREFIX if on_s3 else LONGEST_FOLDER, len(bare.encode())
    if size > longest or max(len(name.encode()) for name in names) > LONGEST_NAME:
        raise ValueError(f"allowed: up to {longest} bytes, {LONGEST_NAME} in one name; it has {size}")
    return bare


def delta_uri(address: str) -> str:
    """An address as `deltalake` takes it: on S3 a URL, whose path is percent-encoded.

    >>> delta_uri("s3://bucket/our models/t"), delta_uri("/our models/t")
    ('s3://bucket/our%20models/t', '/our models/t')
    """
    if not address.startswith("s3://"):
        return address
    return "s3://" + quote(address.removeprefix("s3://"), safe="/")


def for_duckdb(path: str) -> str:
    """A file's address as DuckDB takes it where it would look for patterns, without the quotes around it.

    >>> for_duckdb("/a*b/it's/c?.parquet")
    "/a[*]b/it''s/c[?].parquet"
    """
    return re.sub(r"([*?\[])", r"[\1]", path).replace("'", "''")
