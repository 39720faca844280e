"""Packages that an administrator has allowed for the strategies of other users."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds who allowed which environment. Those that are there already are not allowed by it."""
    op.create_table(
        "allowed_packages",
        sa.Column("key", sa.String(64), nullable=False, comment="of the environment"),
        sa.Column("python", sa.String(32), nullable=False),
        sa.Column("lock", sa.String, nullable=False, comment="what was seen when it was allowed"),
        sa.Column("allowed_at", sa.String(32), nullable=False),
        sa.Column("allowed_by", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_allowed_packages"),
    )
