"""Keys of the online table: of any length (a tree's page holds 2,700 bytes), with the value of each of their columns.

What it holds goes: the next deploy brings it again.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = """
delete from online_scores;
delete from online_state;
alter table online_scores drop constraint online_scores_pkey;
alter table online_scores add column entity jsonb not null;
create index online_scores_by_key on online_scores using hash (key);
"""


def upgrade() -> None:
    op.execute(STATEMENTS)
