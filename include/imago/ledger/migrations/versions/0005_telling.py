"""How alerts are told: where each channel stands, what was posted when, who muted or acknowledged what until when, why
an attempt of a task failed, since when a model is watched, and what a day of a model's decisions was worth."""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = """
alter table incidents
    add column address text,
    add column told_at timestamptz,
    add column escalations integer not null default 0,
    add column picture text;

create table channels (
    address text primary key,
    free_at timestamptz not null,
    failures integer not null default 0,
    last_error text
);

create table messages (
    id bigint generated always as identity primary key,
    incident_id bigint not null references incidents (id),
    dedup_key text not null,
    message_id uuid not null,
    address text not null,
    posted_at timestamptz not null default clock_timestamp()
);
create index messages_by_key on messages (dedup_key, posted_at);

create table silences (
    id bigint generated always as identity primary key,
    incident_id bigint not null references incidents (id),
    dedup_key text not null,
    action text not null,
    until timestamptz,
    by_name text not null,
    reason text not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint silences_action check (action in ('mute', 'acknowledge', 'lift')),
    constraint silences_end check ((action = 'lift') = (until is null))
);
create index silences_by_key on silences (dedup_key, id);

create table failed_attempts (
    run_id text not null,
    task_id text not null,
    map_index integer not null,
    try_number integer not null,
    error text not null,
    failed_at timestamptz not null default clock_timestamp(),
    primary key (run_id, task_id, map_index, try_number)
);

create table watched (
    model text primary key,
    since timestamptz not null
);

create table worth (
    model text not null,
    ds text not null,
    decisions bigint not null,
    value double precision,
    unit text,
    primary key (model, ds)
);
"""


def upgrade() -> None:
    op.execute(TABLES)
