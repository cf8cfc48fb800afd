"""The first ledger: champions, decisions, publications, alerts and incidents, the online store.

Append-only is enforced by the database, not by good manners: champions and decisions refuse UPDATE and DELETE.
"""

from alembic import op

from imago.ledger.schema import metadata

revision = "0001"
down_revision = None

APPEND_ONLY = ("champions", "decisions")


def upgrade() -> None:
    metadata.create_all(op.get_bind())
    op.execute(
        """
        create function refuse_change() returns trigger language plpgsql as $$
        begin
            raise exception 'the ledger table % is append-only', tg_table_name;
        end $$
        """
    )
    for table in APPEND_ONLY:
        op.execute(
            f"create trigger {table}_append_only before update or delete or truncate on {table} "
            "for each statement execute function refuse_change()"
        )
