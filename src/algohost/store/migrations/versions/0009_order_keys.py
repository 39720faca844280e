"""Keys under which orders were sent, so that a request that is sent again trades once."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds the keys, of which there are none yet."""
    op.create_table(
        "order_keys",
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("strategy_id", sa.String(100), nullable=False, comment="empty: unattributed"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, comment="SHA-256 of what was asked"),
        sa.Column("order_id", sa.String(40), comment="null where nothing had to be sent"),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "strategy_id", "name", name="pk_order_keys"),
    )
    op.create_index("ix_order_keys_at", "order_keys", ["at"])
