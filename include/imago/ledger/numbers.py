"""Numbers of rows as people give them."""

from __future__ import annotations

from imago.errors import ImagoError

_LARGEST = 2**63 - 1


def check_number(number: int, of: str, *, next_step: str) -> None:
    """Raises ImagoError for a number that no row can have; Postgres would refuse the question."""
    if not 0 < number <= _LARGEST:
        raise ImagoError(f"there is no {of} {number}", allowed=f"1 to {_LARGEST}", next_step=next_step)
