"""Answers of every problem type: a class or nothing as decision, and the chance of each class.

What the online table holds goes: the next deploy brings it again.
"""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS = """
delete from online_scores;
delete from online_state;
alter table online_scores alter column decision drop not null;
alter table online_scores alter column decision type jsonb using to_jsonb(decision);
alter table online_scores add column probabilities jsonb;
alter table online_requests alter column decision type jsonb using to_jsonb(decision);
"""


def upgrade() -> None:
    op.execute(STATEMENTS)
