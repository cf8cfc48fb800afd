"""Pins: versions of tables that a vacuum may not take away while a training or a champion needs them."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
create table pins (
    id bigint generated always as identity,
    model text not null,
    table_name text not null,
    version bigint not null,
    run_id text not null,
    reason text not null,
    pinned_at timestamp with time zone default clock_timestamp() not null,
    released_at timestamp with time zone,
    primary key (id)
);
create index pins_held on pins (model, table_name) where released_at is null;
"""


def upgrade() -> None:
    op.execute(TABLES)
