"""Shadows: which versions score beside the champion without anybody acting on it, who let them, and until when."""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLE = """
create table shadows (
    id bigint generated always as identity,
    model text not null,
    action text not null,
    version text not null,
    run_id text not null,
    artifact_uri text not null,
    artifact_sha256 text not null,
    artifact_format text not null,
    artifacts jsonb not null,
    training_ds text not null,
    trained_until text not null,
    effective_ds text not null,
    decision_id bigint,
    started_id bigint,
    reason text not null,
    decided_by text not null,
    decided_at timestamp with time zone default clock_timestamp() not null,
    primary key (id),
    constraint shadows_of_decision foreign key (decision_id) references decisions (id),
    constraint shadows_of_model unique (model, id),
    constraint shadows_stop_own foreign key (model, started_id) references shadows (model, id),
    constraint shadows_stop_once unique (started_id),
    constraint shadows_stop_later check (started_id < id),
    constraint shadows_action check (
        (action = 'start' and started_id is null) or (action = 'stop' and started_id is not null)
    )
);
create index shadows_by_model on shadows (model, id);
create trigger shadows_append_only before update or delete or truncate on shadows
    for each statement execute function refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLE)
