"""Master contracts: which broker's list of instruments is there, and how old it is."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Adds how the list of each broker stands, without a row: no list has been made yet."""
    op.create_table(
        "master_contract_status",
        sa.Column("broker", sa.String(32), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("message", sa.String(500), nullable=False),
        sa.Column("last_updated", sa.String(32), comment="when the list in use was made"),
        sa.Column("total_symbols", sa.Integer, nullable=False),
        sa.Column("is_ready", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("broker", name="pk_master_contract_status"),
    )
