"""The tables of the ledger. Timestamps are UTC with zone; JSON columns hold small facts, never rows of data."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Sequence,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from imago.texts import LONGEST, line

metadata = MetaData()


class Line(TypeDecorator[str]):
    """A text of a row: one line, bounded, of signs that Postgres takes, whoever wrote it (`imago.texts`). Addresses are
    the longest. JSON columns are kept so by the engine's serializer; a key of the user's stays what it is."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        return None if value is None else line(value, 2 * LONGEST)


def _id() -> Column:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def _now(name: str) -> Column:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp())


# A fence is drawn from one rising sequence, so that a later attempt always holds a higher one.
fence_sequence = Sequence("fences", metadata=metadata)

environment_identity = Table("environment", metadata, Column("name", Line, primary_key=True))

decisions = Table(
    "decisions",
    metadata,
    _id(),
    Column("model", Line, nullable=False),
    Column("training_ds", Line, nullable=False),
    Column("run_id", Line, nullable=False),
    Column("outcome", Line, nullable=False),  # of a fight, or the answer to one that waited for a person
    Column("incumbent_id", BigInteger),
    Column("challenger_version", Line),
    Column("holdout_digest", Line),
    Column("verdict", JSONB, nullable=False),
    _now("decided_at"),
)
Index("decisions_by_model", decisions.c.model, decisions.c.training_ds, decisions.c.id)

# Append-only and chained: each row's hash covers its content and the hash of the model's row before it. The rows of a
# model form one line, which the constraints keep: one first row, and every other follows an earlier row of the model
# that no other row follows. The champion is the end of the line, so there is at most one.
champions = Table(
    "champions",
    metadata,
    _id(),
    Column("model", Line, nullable=False),
    Column("action", Line, nullable=False),  # promote, rollback
    Column("version", Line, nullable=False),
    Column("run_id", Line, nullable=False),
    Column("artifact_uri", Line, nullable=False),
    Column("artifact_sha256", Line, nullable=False),
    Column("artifact_format", Line, nullable=False),  # onnx, skops
    Column("artifacts", JSONB, nullable=False),
    Column("training_ds", Line, nullable=False),
    Column("trained_until", Line, nullable=False),
    Column("effective_ds", Line, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Line, nullable=False),
    Column("decision_id", BigInteger, ForeignKey(decisions.c.id)),
    Column("previous_id", BigInteger),
    Column("reason", Line, nullable=False),
    Column("prev_hash", Line, nullable=False),
    Column("row_hash", Line, nullable=False),
    UniqueConstraint("model", "previous_id", postgresql_nulls_not_distinct=True, name="champions_one_successor"),
    UniqueConstraint("model", "id", name="champions_of_model"),
    ForeignKeyConstraint(
        ["model", "previous_id"], ["champions.model", "champions.id"], name="champions_follow_own_line"
    ),
    CheckConstraint("previous_id < id", name="champions_follow_earlier"),
    UniqueConstraint("decision_id", name="champions_one_per_decision"),
    CheckConstraint("action in ('promote', 'rollback')", name="champions_action"),
)

# Append-only. A `start` row holds what is needed to load the version, its `stop` row the same and the start's number; a
# shadow stands as long as no row stops it.
shadows = Table(
    "shadows",
    metadata,
    _id(),
    Column("model", Line, nullable=False),
    Column("action", Line, nullable=False),  # start, stop
    Column("version", Line, nullable=False),
    Column("run_id", Line, nullable=False),
    Column("artifact_uri", Line, nullable=False),
    Column("artifact_sha256", Line, nullable=False),
    Column("artifact_format", Line, nullable=False),
    Column("artifacts", JSONB, nullable=False),
    Column("training_ds", Line, nullable=False),
    Column("trained_until", Line, nullable=False),
    Column("effective_ds", Line, nullable=False),  # the first day that it scores
    Column("decision_id", BigInteger),  # of a shadow that a verdict started
    Column("started_id", BigInteger),  # of a stop: the row that it stops
    Column("reason", Line, nullable=False),
    Column("decided_by", Line, nullable=False),
    _now("decided_at"),
    ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="shadows_of_decision"),
    UniqueConstraint("model", "id", name="shadows_of_model"),
    ForeignKeyConstraint(["model", "started_id"], ["shadows.model", "shadows.id"], name="shadows_stop_own"),
    UniqueConstraint("started_id", name="shadows_stop_once"),
    CheckConstraint("started_id < id", name="shadows_stop_later"),
    CheckConstraint(
        "(action = 'start' and started_id is null) or (action = 'stop' and started_id is not null)",
        name="shadows_action",
    ),
)
Index("shadows_by_model", shadows.c.model, shadows.c.id)

publications = Table(
    "publications",
    metadata,
    _id(),
    Column("model", Line, nullable=False),
    Column("table_name", Line, nullable=False),
    Column("ds", Line, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("changed", Boolean, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("digest", Line, nullable=False),
    Column("run_id", Line, nullable=False),
    Column("mode", Line, nullable=False),
    Column("code_commit", Line, nullable=False),
    Column("inputs", JSONB, nullable=False),
    _now("published_at"),
)
Index(
    "publications_by_partition", publications.c.model, publications.c.table_name, publications.c.ds, publications.c.id
)

# What was published of a table with a lower fence than its last drop stands no more. Append-only.
table_drops = Table(
    "table_drops",
    metadata,
    _id(),
    Column("model", Line, nullable=False),
    Column("table_name", Line, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("days", BigInteger, nullable=False),
    Column("actor", Line, nullable=False),
    Column("forced", Boolean, nullable=False),
    _now("dropped_at"),
)
Index("table_drops_by_table", table_drops.c.model, table_drops.c.table_name, table_drops.c.fence)

# Never erased: a release is written beside the pin.
pins = Table(
    "pins",
    metadata,
    _id(),
    Column("model", Line, nullable=False),
    Column("table_name", Line, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("run_id", Line, nullable=False),
    Column("reason", Line, nullable=False),
    _now("pinned_at"),
    Column("released_at", DateTime(timezone=True)),
)
Index("pins_held", pins.c.model, pins.c.table_name, postgresql_where=pins.c.released_at.is_(None))

incidents = Table(
    "incidents",
    metadata,
    _id(),
    Column("dedup_key", Line, nullable=False),
    Column("model", Line),
    Column("rule", Line, nullable=False),
    Column("subject", Line, nullable=False),
    Column("severity", Line, nullable=False),
    Column("status", Line, nullable=False),  # open, resolved
    _now("opened_at"),
    _now("updated_at"),
    Column("resolved_at", DateTime(timezone=True)),
    Column("count", Integer, nullable=False),
    Column("channel", Line),  # the server's own name of where the thread lies
    Column("thread_ts", Line),
    Column("worst", JSONB),
    Column("address", Line),  # where the thread lies, as the settings name it
    Column("told_at", DateTime(timezone=True)),  # when the head was last written
    Column("escalations", Integer, nullable=False, server_default="0"),  # how often it was told that it lasts
    Column("picture", Line),  # the file in the head, where its server keeps files
)
Index("incidents_one_open", incidents.c.dedup_key, unique=True, postgresql_where=incidents.c.status == "open")

alerts = Table(
    "alerts",
    metadata,
    _id(),
    Column("incident_id", BigInteger, ForeignKey(incidents.c.id)),
    Column("dedup_key", Line, nullable=False),
    Column("model", Line),
    Column("rule", Line, nullable=False),
    Column("subject", Line, nullable=False),
    Column("severity", Line, nullable=False),  # info, warning, critical
    Column("title", Line, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("mode", Line, nullable=False),
    Column("ds", Line),
    Column("run_id", Line, nullable=False),
    _now("created_at"),
    Column("status", Line, nullable=False),  # pending, delivered, muted, digest, digested
    Column("attempts", Integer, nullable=False, server_default="0"),
    _now("not_before"),
    Column("delivered_at", DateTime(timezone=True)),
    Column("last_error", Line),
    Column("message_id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
)
Index("alerts_to_deliver", alerts.c.status, alerts.c.not_before)

# No call to an address before `free_at`: its pace, what its server asked for, the end of a call that may be under way.
channels = Table(
    "channels",
    metadata,
    Column("address", Line, primary_key=True),
    Column("free_at", DateTime(timezone=True), nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row
    Column("last_error", Line),
)

# What was posted, and when. A rewritten head is no message: it disturbs nobody.
messages = Table(
    "messages",
    metadata,
    _id(),
    Column("incident_id", BigInteger, ForeignKey(incidents.c.id), nullable=False),
    Column("dedup_key", Line, nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("address", Line, nullable=False),
    _now("posted_at"),
)
Index("messages_by_key", messages.c.dedup_key, messages.c.posted_at)

# Append-only: the newest row of a problem says how it stands.
silences = Table(
    "silences",
    metadata,
    _id(),
    Column("incident_id", BigInteger, ForeignKey(incidents.c.id), nullable=False),
    Column("dedup_key", Line, nullable=False),
    Column("action", Line, nullable=False),
    Column("until", DateTime(timezone=True)),
    Column("by_name", Line, nullable=False),
    Column("reason", Line, nullable=False),
    _now("created_at"),
    CheckConstraint("action in ('mute', 'acknowledge', 'lift')", name="silences_action"),
    CheckConstraint("(action = 'lift') = (until is null)", name="silences_end"),
)
Index("silences_by_key", silences.c.dedup_key, silences.c.id)

# Attempts that failed and could say why, before they are tried again. One that is missing here was killed.
failed_attempts = Table(
    "failed_attempts",
    metadata,
    Column("run_id", Line, primary_key=True),
    Column("task_id", Line, primary_key=True),
    Column("map_index", Integer, primary_key=True),
    Column("try_number", Integer, primary_key=True),
    Column("error", Line, nullable=False),
    _now("failed_at"),
)

# The watchdog's first look at a model: what fell due before was nobody's duty yet.
watched = Table(
    "watched",
    metadata,
    Column("model", Line, primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False),
)

# What an alert says is at stake, known without reading a table of data.
worth = Table(
    "worth",
    metadata,
    Column("model", Line, primary_key=True),
    Column("ds", Line, primary_key=True),
    Column("decisions", BigInteger, nullable=False),
    Column("value", Double),
    Column("unit", Line),
)

digests = Table(
    "digests",
    metadata,
    _id(),
    Column("model", Line, nullable=False),
    Column("from_publication", BigInteger, nullable=False),
    Column("to_publication", BigInteger, nullable=False),
    Column("alert_id", BigInteger, ForeignKey(alerts.c.id)),
    _now("created_at"),
)

# Why a drift did or did not start a training. Append-only: a day is decided once.
retrainings = Table(
    "retrainings",
    metadata,
    _id(),
    Column("model", Line, nullable=False),
    Column("ds", Line, nullable=False),  # the day whose drift asked for it
    Column("training_ds", Line, nullable=False),  # the last closed day: the training's partition
    Column("reference", Line, nullable=False),  # the drifting champion's artifact
    Column("outcome", Line, nullable=False),  # triggered, cooling, exhausted, superseded, broken
    Column("reason", Line, nullable=False),
    Column("drift", JSONB, nullable=False),
    Column("run_id", Line, nullable=False),
    _now("decided_at"),
    UniqueConstraint("model", "ds", name="retrainings_once_a_day"),
)

online_scores = Table(
    "online_scores",
    metadata,
    Column("model", Line, nullable=False),
    Column("key", Text, nullable=False),
    Column("ds", Line, nullable=False),
    Column("event_time", DateTime, nullable=False),
    Column("score", Double, nullable=False),
    Column("decision", JSONB(none_as_null=True)),  # true or false, a class, or nothing
    Column("model_version", Line, nullable=False),
    Column("features", JSONB, nullable=False),
    _now("loaded_at"),
    Column("entity", JSONB, nullable=False),
    Column("probabilities", JSONB(none_as_null=True)),  # the chance of each class, where there are several
    # A key may be longer than the 2,700 bytes that a tree's page holds, and is unique in the day that it comes from.
    Index("online_scores_by_key", "key", postgresql_using="hash"),
)

online_state = Table(
    "online_state",
    metadata,
    Column("model", Line, primary_key=True),
    Column("champion_id", BigInteger, nullable=False),
    Column("ds", Line, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("digest", Line, nullable=False),
    _now("swapped_at"),
)

online_requests = Table(
    "online_requests",
    metadata,
    _id(),
    Column("model", Line, nullable=False),
    Column("key", Line, nullable=False),
    _now("requested_at"),
    Column("status", Integer, nullable=False),
    Column("score", Double),
    Column("decision", JSONB(none_as_null=True)),
    Column("model_version", Line),
    Column("latency_ms", Double, nullable=False),
)
