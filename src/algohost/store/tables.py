"""The tables of people, strategies, runs and calendars; ``trading_tables`` has the others.

Alembic's migrations make them; a test compares the two.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    text,
)

from algohost.store.metadata import metadata
from algohost.store.types import Utc

users = Table(
    "users",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64, collation="NOCASE"), nullable=False, unique=True),
    Column("password_hash", String(256), nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("created_at", Utc, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("csrf", String(64), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("last_seen_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("prefix", String(16), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("created_at", Utc, nullable=False),
    Column("revoked_at", Utc),
)

versions = Table(
    "versions",
    metadata,
    Column("id", String(64), primary_key=True, comment="SHA-256 of the content"),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", Utc, nullable=False),
)

strategies = Table(
    "strategies",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("owner_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String(120), nullable=False),
    Column("file_name", String(120), nullable=False),
    Column("exchange", String(16), nullable=False),
    Column("mode", String(8), nullable=False),
    Column("version_id", ForeignKey("versions.id"), nullable=False),
    Column("problem", JSON(none_as_null=True)),
    Column("settings", JSON, nullable=False, server_default="{}"),
    Column("created_at", Utc, nullable=False),
    Column("deleted_at", Utc),
    Column("schedule", JSON, nullable=False, server_default="{}"),
    Column("schedule_set_at", Utc),
    Column("schedule_set_by", String(80), nullable=False, server_default=""),
    Column("account_id", String(64), comment="empty for the owner's first paper one"),
)

occurrences = Table(
    "occurrences",
    metadata,
    Column("strategy_id", ForeignKey("strategies.id"), primary_key=True),
    Column("key", String(120), primary_key=True),
    Column("start_at", Utc, nullable=False),
    Column("ends_at", Utc),
    Column("stops", Boolean, nullable=False),
    Column("state", String(8), nullable=False),
    Column("intent_number", Integer),
    Column("run_id", String(16)),
    Column("lateness_ms", Integer),
    Column("gate_code", String(64), nullable=False),
    Column("sentence", String(500), nullable=False),
    Column("decided_at", Utc, nullable=False),
    Column("by", String(80), nullable=False),
    Column("alerted_at", Utc),
    Index("ix_occurrences_start_at", "start_at"),
    # An edited schedule names its windows anew; what has started at an instant has started.
    Index(
        "one_start_at_an_instant",
        "strategy_id",
        "start_at",
        unique=True,
        sqlite_where=text("state IN ('due', 'started')"),
    ),
)

last_looks = Table(
    "last_looks",
    metadata,
    Column("who", String(32), primary_key=True),
    Column("at", Utc, nullable=False),
)

strategy_versions = Table(
    "strategy_versions",
    metadata,
    Column("strategy_id", ForeignKey("strategies.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("version_id", ForeignKey("versions.id"), nullable=False),
    Column("saved_by", String(80), nullable=False),
    Column("saved_at", Utc, nullable=False),
)

intents = Table(
    "intents",
    metadata,
    Column("strategy_id", ForeignKey("strategies.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("wanted", String(8), nullable=False),
    Column("by", String(80), nullable=False),
    Column("at", Utc, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("strategy_id", ForeignKey("strategies.id"), nullable=False),
    Column("version_id", ForeignKey("versions.id"), nullable=False),
    Column("intent_number", Integer, nullable=False),
    Column("state", String(8), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("started_at", Utc),
    Column("stop_asked_at", Utc),
    Column("stop_asked_by", String(80)),
    Column("ended_at", Utc),
    Column("boot_id", String(36)),
    Column("pid", Integer),
    Column("start_ticks", Integer),
    Column("outcome", String(24)),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("reason", String(500), nullable=False),
    Column("peak_memory_bytes", Integer),
    Column("cpu_seconds", Float),
    Column("log_name", String(200), nullable=False),
    Column("token_hash", String(64)),
    Column("enforced", JSON, nullable=False, server_default="[]"),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Index("ix_runs_strategy_created", "strategy_id", "created_at"),
    # One life: promise 1 is kept by the database, not by a lock.
    Index(
        "one_live_run",
        "strategy_id",
        unique=True,
        sqlite_where=text("state != 'ended'"),
    ),
)

run_tails = Table(
    "run_tails",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("text", String, nullable=False, comment="the last lines before its end"),
)

run_samples = Table(
    "run_samples",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("at", Utc, primary_key=True),
    Column("cpu_seconds", Float, nullable=False),
    Column("memory_bytes", Integer, nullable=False),
    Column("threads", Integer, nullable=False),
    Column("written_bytes", Integer, nullable=False),
    Index("ix_run_samples_at", "at"),
)

run_events = Table(
    "run_events",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False, index=True),
    Column("at", Utc, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("sentence", String(500), nullable=False),
)

variables = Table(
    "variables",
    metadata,
    Column("strategy_id", ForeignKey("strategies.id"), primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("value", String, comment="of a plain variable"),
    Column("sealed", LargeBinary, comment="the Fernet token of a secret"),
    Column("changed_at", Utc, nullable=False),
)

requirements = Table(
    "requirements",
    metadata,
    Column("strategy_id", ForeignKey("strategies.id"), primary_key=True),
    Column("text", String, nullable=False),
    Column("changed_at", Utc, nullable=False),
)

environments = Table(
    "environments",
    metadata,
    Column("wanted", String(64), primary_key=True, comment="SHA-256 of what is asked for"),
    Column("key", String(64), comment="SHA-256 of Python and lock; its folder's name"),
    Column("python", String(32)),
    Column("lock", String),
    Column("error", String, comment="what uv said; the environment could not be made"),
    Column("at", Utc, nullable=False),
)

allowed_packages = Table(
    "allowed_packages",
    metadata,
    Column("key", String(64), primary_key=True, comment="of the environment"),
    Column("python", String(32), nullable=False),
    Column("lock", String, nullable=False, comment="what was seen when it was allowed"),
    Column("allowed_at", Utc, nullable=False),
    Column("allowed_by", String(100), nullable=False),
)

calendar_days = Table(
    "calendar_days",
    metadata,
    Column("exchange", String(16), primary_key=True),
    Column("date", String(10), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", String(100), nullable=False),
    Column("hours", String, nullable=False, comment="09:15-10:00 11:30-12:30 in IST"),
    Column("status", String(16), nullable=False),
    Column("note", String(300), nullable=False),
    Column("changed_at", Utc, nullable=False),
    Column("changed_by", String(100), nullable=False),
)

calendar_years = Table(
    "calendar_years",
    metadata,
    Column("exchange", String(16), primary_key=True),
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("status", String(16), nullable=False),
    Column("changed_at", Utc, nullable=False),
    Column("changed_by", String(100), nullable=False),
)
