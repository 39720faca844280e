"""Environments: which packages a strategy asks for, and what came of making them ready."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds the requirements that are typed in, and what is known of each environment."""
    op.create_table(
        "requirements",
        sa.Column("strategy_id", sa.String(100), nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("changed_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.id"], name="fk_requirements_strategy_id"
        ),
        sa.PrimaryKeyConstraint("strategy_id", name="pk_requirements"),
    )
    op.create_table(
        "environments",
        sa.Column("wanted", sa.String(64), nullable=False, comment="SHA-256 of what is asked for"),
        sa.Column("key", sa.String(64), comment="SHA-256 of Python and lock; its folder's name"),
        sa.Column("python", sa.String(32)),
        sa.Column("lock", sa.String),
        sa.Column("error", sa.String, comment="what uv said; the environment could not be made"),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("wanted", name="pk_environments"),
    )
