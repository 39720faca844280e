"""Accounts of several kinds, and the account and mode of each strategy."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Adds them; every strategy there is stays in its owner's paper account."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("owner_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("broker", sa.String(32), nullable=False),
        sa.Column("base_url", sa.String(300), nullable=False),
        sa.Column("feed_url", sa.String(300), nullable=False),
        sa.Column("sealed", sa.LargeBinary, comment="the Fernet token of its API key"),
        sa.Column("disabled_at", sa.String(32)),
        sa.Column("removed_at", sa.String(32), comment="its orders stay on record"),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_accounts_owner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_index("ix_accounts_owner_id", "accounts", ["owner_id"])
    op.add_column(
        "strategies",
        sa.Column("account_id", sa.String(64), comment="empty for the owner's first paper one"),
    )
