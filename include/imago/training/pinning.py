"""Which table versions the trainings hold, so that a vacuum leaves them alone.

The rule is simple: the freeze of a training pins what it reads. The pins of one training day are let go together, when
the newest of them is older than the retention and no model of that training ever reigned. What a champion was made from
stays for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from imago import ledger
from imago.environments import Environment
from imago.ledger import champions, pins

_REASON = "training "  # followed by the training's day


def pin_versions(
    environment: Environment, model: str, ds: str, versions: Mapping[str, int | None], *, run_id: str
) -> None:
    """Pins the versions (by table) that the training of `ds` reads. Safe to repeat."""
    with ledger.connect(environment).begin() as connection:
        for table, version in versions.items():
            if version is not None:
                reason = f"{_REASON}{ds}"
                pins.pin(connection, model=model, table=table, version=version, run_id=run_id, reason=reason)


def release_pins(environment: Environment, model: str, *, older_than: timedelta) -> list[str]:
    """Lets go of the trainings that nobody needs any more (see the module); returns their days, in order."""
    with ledger.connect(environment).begin() as connection:
        gone = _releasable(connection, model, older_than)
        for ds in gone:
            pins.release(connection, model=model, reason=f"{_REASON}{ds}")
    return gone


def releasable(environment: Environment, model: str, *, older_than: timedelta) -> list[str]:
    """The days of the trainings that `release_pins` would let go."""
    with ledger.connect(environment).connect() as connection:
        return _releasable(connection, model, older_than)


def _releasable(connection: Connection, model: str, older_than: timedelta) -> list[str]:
    newest: dict[str, datetime] = {}
    for pin in pins.held(connection, model):
        if pin["reason"].startswith(_REASON):
            ds = pin["reason"].removeprefix(_REASON)
            newest[ds] = max(pin["pinned_at"], newest.get(ds, pin["pinned_at"]))
    crowned = {entry.training_ds for entry in champions.history(connection, model)}
    border = datetime.now(UTC) - older_than
    return sorted(ds for ds, at in newest.items() if at < border and ds not in crowned)
