"""Tables that somebody dropped: what was published of them up to then is history, and stands no more."""

from alembic import op

revision = "0008"
down_revision = "0007"

TABLE = """
create table table_drops (
    id bigint generated always as identity,
    model text not null,
    table_name text not null,
    fence bigint not null,
    days bigint not null,
    actor text not null,
    forced boolean not null,
    dropped_at timestamp with time zone default clock_timestamp() not null,
    primary key (id)
);
create index table_drops_by_table on table_drops (model, table_name, fence);
"""

APPEND_ONLY = """
create trigger table_drops_append_only before update or delete or truncate on table_drops
    for each statement execute function refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(APPEND_ONLY)
