"""Why a confirmed drift started a training, or did not: one row a day that asked for it, never changed."""

from alembic import op

revision = "0006"
down_revision = "0005"

TABLE = """
create table retrainings (
    id bigint generated always as identity,
    model text not null,
    ds text not null,
    training_ds text not null,
    reference text not null,
    outcome text not null,
    reason text not null,
    drift jsonb not null,
    run_id text not null,
    decided_at timestamp with time zone default clock_timestamp() not null,
    primary key (id),
    constraint retrainings_once_a_day unique (model, ds)
);
"""

APPEND_ONLY = """
create trigger retrainings_append_only before update or delete or truncate on retrainings
    for each statement execute function refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(APPEND_ONLY)
