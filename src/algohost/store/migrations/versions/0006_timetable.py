"""Schedules of strategies, and what became of each of their occurrences."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Gives every strategy the manual schedule, and adds the ledger, empty."""
    for column in (
        sa.Column("schedule", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("schedule_set_at", sa.String(32)),
        sa.Column("schedule_set_by", sa.String(80), nullable=False, server_default=""),
    ):
        op.add_column("strategies", column)
    op.create_table(
        "occurrences",
        sa.Column("strategy_id", sa.String(100), nullable=False),
        sa.Column("key", sa.String(120), nullable=False),
        sa.Column("start_at", sa.String(32), nullable=False),
        sa.Column("ends_at", sa.String(32)),
        sa.Column("stops", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("intent_number", sa.Integer),
        sa.Column("run_id", sa.String(16)),
        sa.Column("lateness_ms", sa.Integer),
        sa.Column("gate_code", sa.String(64), nullable=False),
        sa.Column("sentence", sa.String(500), nullable=False),
        sa.Column("decided_at", sa.String(32), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("alerted_at", sa.String(32)),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.id"], name="fk_occurrences_strategy_id"
        ),
        sa.PrimaryKeyConstraint("strategy_id", "key", name="pk_occurrences"),
    )
    op.create_index("ix_occurrences_start_at", "occurrences", ["start_at"])
    op.create_index(
        "one_start_at_an_instant",
        "occurrences",
        ["strategy_id", "start_at"],
        unique=True,
        sqlite_where=sa.text("state IN ('due', 'started')"),
    )
    op.create_table(
        "last_looks",
        sa.Column("who", sa.String(32), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("who", name="pk_last_looks"),
    )
