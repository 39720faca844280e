"""What strategies, accounts and the host may risk, and what a kill switch was asked to do."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Adds limits, of which there are none, the losses that were reached, and kill tasks."""
    op.create_table(
        "risk_limits",
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("target", sa.String(100), nullable=False, comment="empty for the host"),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("scope", "target", name="pk_risk_limits"),
    )
    op.create_table(
        "risk_losses",
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("target", sa.String(100), nullable=False, comment="empty for the host"),
        sa.Column("day", sa.String(10), nullable=False, comment="in IST"),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("lost", sa.String(40), nullable=False, comment="rupees"),
        sa.PrimaryKeyConstraint("scope", "target", name="pk_risk_losses"),
    )
    op.create_table(
        "kill_tasks",
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("target", sa.String(100), nullable=False, comment="empty for the host"),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("steps", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("report", sa.JSON, nullable=False),
        sa.Column("ended_at", sa.String(32)),
        sa.PrimaryKeyConstraint("scope", "target", name="pk_kill_tasks"),
    )
