"""The ledger: what happened, in Postgres, append-only where it decides.

One schema per environment. `migrate(env)` brings it to the newest version; `connect(env)` gives an engine whose
`search_path` is that schema, after the schema's identity was checked.
"""

from imago.ledger.engine import connect, migrate, pooled

__all__ = ["connect", "migrate", "pooled"]
