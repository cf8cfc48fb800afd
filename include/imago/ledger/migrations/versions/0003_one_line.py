"""One line of champions per model: each row follows an earlier row of the same model, no two rows follow the same one,
and a decision moves the champion once. So there is one newest row, whoever writes, and by whatever code."""

from alembic import op

revision = "0003"
down_revision = "0002"

CONSTRAINTS = """
alter table champions
    add constraint champions_of_model unique (model, id),
    add constraint champions_follow_own_line foreign key (model, previous_id) references champions (model, id),
    add constraint champions_follow_earlier check (previous_id < id),
    add constraint champions_one_per_decision unique (decision_id),
    add constraint champions_action check (action in ('promote', 'rollback'));
"""


def upgrade() -> None:
    op.execute(CONSTRAINTS)
