"""Where notifications are sent, and how each one fared."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Adds them, both without a row."""
    op.create_table(
        "notice_targets",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("owner_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("service", sa.String(60), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False, comment="the Fernet token of its URL"),
        sa.Column("added_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_notice_targets_owner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notice_targets"),
    )
    op.create_index("ix_notice_targets_owner_id", "notice_targets", ["owner_id"])
    op.create_table(
        "notices",
        sa.Column("number", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("owner_id", sa.String(32), nullable=False),
        sa.Column("target_id", sa.String(16), nullable=False, comment="which may be gone"),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("body", sa.String(4096), nullable=False, comment="empty when it has ended"),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due_at", sa.String(32), nullable=False),
        sa.Column("ended_at", sa.String(32)),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_notices"),
    )
    op.create_index("ix_notices_owner_id", "notices", ["owner_id"])
    op.create_index("ix_notices_state", "notices", ["state"])
