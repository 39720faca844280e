"""The first tables.

Spelled out rather than made from ``tables.py``: a migration says what was, not what is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes every table of the first release."""
    _identity()
    _strategies()
    _runs()
    _orders()


def _identity() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64, collation="NOCASE"), nullable=False),
        sa.Column("password_hash", sa.String(256), nullable=False),
        sa.Column("is_admin", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(32), nullable=False),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("last_seen_at", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sessions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("user_id", sa.String(32), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("revoked_at", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_keys_user_id"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])


def _strategies() -> None:
    op.create_table(
        "versions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_versions"),
    )
    op.create_table(
        "strategies",
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("owner_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("file_name", sa.String(120), nullable=False),
        sa.Column("exchange", sa.String(16), nullable=False),
        sa.Column("mode", sa.String(8), nullable=False),
        sa.Column("version_id", sa.String(64), nullable=False),
        sa.Column("problem", sa.JSON),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("deleted_at", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_strategies"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_strategies_owner_id"),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_strategies_version_id"),
    )
    op.create_index("ix_strategies_owner_id", "strategies", ["owner_id"])
    op.create_table(
        "strategy_versions",
        sa.Column("strategy_id", sa.String(100), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("version_id", sa.String(64), nullable=False),
        sa.Column("saved_by", sa.String(80), nullable=False),
        sa.Column("saved_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("strategy_id", "number", name="pk_strategy_versions"),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.id"], name="fk_strategy_versions_strategy_id"
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["versions.id"], name="fk_strategy_versions_version_id"
        ),
    )
    op.create_table(
        "intents",
        sa.Column("strategy_id", sa.String(100), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("wanted", sa.String(8), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("strategy_id", "number", name="pk_intents"),
        sa.ForeignKeyConstraint(["strategy_id"], ["strategies.id"], name="fk_intents_strategy_id"),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("strategy_id", sa.String(100), nullable=False),
        sa.Column("version_id", sa.String(64), nullable=False),
        sa.Column("intent_number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("started_at", sa.String(32)),
        sa.Column("stop_asked_at", sa.String(32)),
        sa.Column("stop_asked_by", sa.String(80)),
        sa.Column("ended_at", sa.String(32)),
        sa.Column("boot_id", sa.String(36)),
        sa.Column("pid", sa.Integer),
        sa.Column("start_ticks", sa.Integer),
        sa.Column("outcome", sa.String(24)),
        sa.Column("exit_code", sa.Integer),
        sa.Column("signal", sa.Integer),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("peak_memory_bytes", sa.Integer),
        sa.Column("cpu_seconds", sa.Float),
        sa.Column("log_name", sa.String(200), nullable=False),
        sa.Column("token_hash", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(["strategy_id"], ["strategies.id"], name="fk_runs_strategy_id"),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_runs_version_id"),
    )
    op.create_index("ix_runs_strategy_created", "runs", ["strategy_id", "created_at"])
    op.create_index(
        "one_live_run",
        "runs",
        ["strategy_id"],
        unique=True,
        sqlite_where=sa.text("state != 'ended'"),
    )


def _orders() -> None:
    op.create_table(
        "order_intents",
        sa.Column("sequence", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("order_id", sa.String(40), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_order_intents"),
        sa.UniqueConstraint("order_id", name="uq_order_intents_order_id"),
    )
    op.create_index("ix_order_intents_account_id", "order_intents", ["account_id"])
    op.create_table(
        "order_journal",
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "number", name="pk_order_journal"),
    )
