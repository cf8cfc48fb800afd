"""The log of a table against its second witness, the ledger.

A Delta log carries no checksums: a commit whose file was cut short at the end of a line is a shorter commit to every
reader of Delta, and the day comes out as it was before, or with no rows at all. The ledger holds the digest of each
day's rows, and so does the name of each file. Where both speak of the same publish, they have to agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imago.tables import files


def contradicted(
    known: Mapping[str, Mapping[str, Any]], live: Mapping[str, Sequence[str]], fences: Mapping[str, int]
) -> Iterable[tuple[str, str]]:
    """The days whose live files are not what the ledger knows, each with what was seen instead.

    `known` are the ledger's rows as of the version that is read, `live` the addresses that the log gives, `fences`
    those of the log. A day with a higher fence there was committed and is not written down yet; files of other writers
    carry no digest in their names.
    """
    for ds, row in known.items():
        if fences.get(ds, 0) > row["fence"]:
            continue
        digests = [files.digest_of(uri) for uri in live.get(ds, ())]
        if digests and None in digests:
            continue
        wanted = [row["digest"]] if row["rows"] else []
        if digests != wanted:
            yield ds, ", ".join(str(digest)[:12] for digest in digests) or "no file"
