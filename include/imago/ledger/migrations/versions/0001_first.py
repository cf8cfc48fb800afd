"""The first ledger: champions, decisions, publications, alerts and incidents, the online store.

Append-only is enforced by the database, not by good manners: champions and decisions refuse UPDATE and DELETE. The
statements are frozen: what the schema becomes later is told by later migrations.
"""

from alembic import op

revision = "0001"
down_revision = None

APPEND_ONLY = ("champions", "decisions")

TABLES = """
create sequence fences;

create table environment (
    name text not null,
    primary key (name)
);

create table decisions (
    id bigint generated always as identity,
    model text not null,
    training_ds text not null,
    run_id text not null,
    outcome text not null,
    incumbent_id bigint,
    challenger_version text,
    holdout_digest text,
    verdict jsonb not null,
    decided_at timestamp with time zone default clock_timestamp() not null,
    primary key (id)
);
create index decisions_by_model on decisions (model, training_ds, id);

create table publications (
    id bigint generated always as identity,
    model text not null,
    table_name text not null,
    ds text not null,
    version bigint not null,
    fence bigint not null,
    changed boolean not null,
    rows bigint not null,
    digest text not null,
    run_id text not null,
    mode text not null,
    code_commit text not null,
    inputs jsonb not null,
    published_at timestamp with time zone default clock_timestamp() not null,
    primary key (id)
);
create index publications_by_partition on publications (model, table_name, ds, id);

create table incidents (
    id bigint generated always as identity,
    dedup_key text not null,
    model text,
    rule text not null,
    subject text not null,
    severity text not null,
    status text not null,
    opened_at timestamp with time zone default clock_timestamp() not null,
    updated_at timestamp with time zone default clock_timestamp() not null,
    resolved_at timestamp with time zone,
    count integer not null,
    channel text,
    thread_ts text,
    worst jsonb,
    primary key (id)
);
create unique index incidents_one_open on incidents (dedup_key) where status = 'open';

create table online_scores (
    model text not null,
    key text not null,
    ds text not null,
    event_time timestamp without time zone not null,
    score double precision not null,
    decision boolean not null,
    model_version text not null,
    features jsonb not null,
    loaded_at timestamp with time zone default clock_timestamp() not null,
    primary key (model, key)
);

create table online_state (
    model text not null,
    champion_id bigint not null,
    ds text not null,
    rows bigint not null,
    digest text not null,
    swapped_at timestamp with time zone default clock_timestamp() not null,
    primary key (model)
);

create table online_requests (
    id bigint generated always as identity,
    model text not null,
    key text not null,
    requested_at timestamp with time zone default clock_timestamp() not null,
    status integer not null,
    score double precision,
    decision boolean,
    model_version text,
    latency_ms double precision not null,
    primary key (id)
);

create table champions (
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
    decided_at timestamp with time zone not null,
    decided_by text not null,
    decision_id bigint,
    previous_id bigint,
    reason text not null,
    prev_hash text not null,
    row_hash text not null,
    primary key (id),
    constraint champions_one_successor unique nulls not distinct (model, previous_id),
    foreign key(decision_id) references decisions (id)
);

create table alerts (
    id bigint generated always as identity,
    incident_id bigint,
    dedup_key text not null,
    model text,
    rule text not null,
    subject text not null,
    severity text not null,
    title text not null,
    body jsonb not null,
    mode text not null,
    ds text,
    run_id text not null,
    created_at timestamp with time zone default clock_timestamp() not null,
    status text not null,
    attempts integer default '0' not null,
    not_before timestamp with time zone default clock_timestamp() not null,
    delivered_at timestamp with time zone,
    last_error text,
    message_id uuid default gen_random_uuid() not null,
    primary key (id),
    foreign key(incident_id) references incidents (id)
);
create index alerts_to_deliver on alerts (status, not_before);

create table digests (
    id bigint generated always as identity,
    model text not null,
    from_publication bigint not null,
    to_publication bigint not null,
    alert_id bigint,
    created_at timestamp with time zone default clock_timestamp() not null,
    primary key (id),
    foreign key(alert_id) references alerts (id)
);
"""


def upgrade() -> None:
    op.execute(TABLES)
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
