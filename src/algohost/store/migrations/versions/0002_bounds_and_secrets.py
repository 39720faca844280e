"""How strategies are run, their variables, and what is seen of runs while they live."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds settings and enforcement, and the tables of what is kept of a run."""
    op.add_column("strategies", sa.Column("settings", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("runs", sa.Column("enforced", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("runs", sa.Column("attempt", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "run_tails",
        sa.Column("run_id", sa.String(16), nullable=False),
        sa.Column("text", sa.String, nullable=False, comment="the last lines before its end"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_tails_run_id"),
        sa.PrimaryKeyConstraint("run_id", name="pk_run_tails"),
    )
    op.create_table(
        "run_samples",
        sa.Column("run_id", sa.String(16), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("cpu_seconds", sa.Float, nullable=False),
        sa.Column("memory_bytes", sa.Integer, nullable=False),
        sa.Column("threads", sa.Integer, nullable=False),
        sa.Column("written_bytes", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_samples_run_id"),
        sa.PrimaryKeyConstraint("run_id", "at", name="pk_run_samples"),
    )
    op.create_index("ix_run_samples_at", "run_samples", ["at"])
    op.create_table(
        "run_events",
        sa.Column("sequence", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("run_id", sa.String(16), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("sentence", sa.String(500), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_events_run_id"),
        sa.PrimaryKeyConstraint("sequence", name="pk_run_events"),
    )
    op.create_index("ix_run_events_run_id", "run_events", ["run_id"])
    op.create_table(
        "variables",
        sa.Column("strategy_id", sa.String(100), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("value", sa.String, comment="of a plain variable"),
        sa.Column("sealed", sa.LargeBinary, comment="the Fernet token of a secret"),
        sa.Column("changed_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.id"], name="fk_variables_strategy_id"
        ),
        sa.PrimaryKeyConstraint("strategy_id", "name", name="pk_variables"),
    )
