"""Broker sessions of accounts, and the kill switch."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds them, both without a row: no account was logged out and no switch is engaged."""
    op.create_table(
        "broker_sessions",
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("is_login", sa.Boolean, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("expires_at", sa.String(32)),
        sa.Column("told", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_broker_sessions"),
    )
    op.create_table(
        "kill_switches",
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("target", sa.String(100), nullable=False, comment="empty for the host"),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("scope", "target", name="pk_kill_switches"),
    )
    op.create_table(
        "host_events",
        sa.Column("sequence", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("subject", sa.String(100), nullable=False, comment="account or strategy"),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("sentence", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_host_events"),
    )
    op.create_index("ix_host_events_subject", "host_events", ["subject"])
