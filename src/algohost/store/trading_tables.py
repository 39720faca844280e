"""The tables of accounts, their orders and limits, of the audit and of what people are told."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
)

from algohost.store.metadata import metadata
from algohost.store.types import Utc

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String(64), nullable=False),
    Column("broker", String(32), nullable=False),
    Column("base_url", String(300), nullable=False),
    Column("feed_url", String(300), nullable=False),
    Column("sealed", LargeBinary, comment="the Fernet token of its API key"),
    Column("disabled_at", Utc),
    Column("removed_at", Utc, comment="its orders stay on record"),
    Column("created_at", Utc, nullable=False),
)

broker_sessions = Table(
    "broker_sessions",
    metadata,
    Column("account_id", String(64), primary_key=True),
    Column("is_login", Boolean, nullable=False),
    Column("at", Utc, nullable=False),
    Column("by", String(80), nullable=False),
    Column("expires_at", Utc),
    Column("told", String(16), nullable=False),
)

kill_switches = Table(
    "kill_switches",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("target", String(100), primary_key=True, comment="empty for the host"),
    Column("at", Utc, nullable=False),
    Column("by", String(80), nullable=False),
    Column("reason", String(300), nullable=False),
)

host_events = Table(
    "host_events",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("subject", String(100), nullable=False, index=True, comment="account or strategy"),
    Column("at", Utc, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("sentence", String(500), nullable=False),
)

risk_limits = Table(
    "risk_limits",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("target", String(100), primary_key=True, comment="empty for the host"),
    Column("limits", JSON, nullable=False),
    Column("at", Utc, nullable=False),
    Column("by", String(80), nullable=False),
)

risk_losses = Table(
    "risk_losses",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("target", String(100), primary_key=True, comment="empty for the host"),
    Column("day", String(10), nullable=False, comment="in IST"),
    Column("at", Utc, nullable=False),
    Column("lost", String(40), nullable=False, comment="rupees"),
)

kill_tasks = Table(
    "kill_tasks",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("target", String(100), primary_key=True, comment="empty for the host"),
    Column("at", Utc, nullable=False),
    Column("by", String(80), nullable=False),
    Column("steps", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("report", JSON, nullable=False),
    Column("ended_at", Utc),
)

master_contract_status = Table(
    "master_contract_status",
    metadata,
    Column("broker", String(32), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("message", String(500), nullable=False),
    Column("last_updated", Utc, comment="when the list in use was made"),
    Column("total_symbols", Integer, nullable=False),
    Column("is_ready", Boolean, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Utc, nullable=False),
    Column("by", String(120), nullable=False),
    Column("act", String(40), nullable=False),
    Column("subject", String(120), nullable=False, index=True),
    Column("detail", JSON, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
"""Triggers, which the migration makes, refuse every change and removal."""

audit_positions = Table(
    "audit_positions",
    metadata,
    Column("source", String(32), primary_key=True, comment="an append-only table"),
    Column("position", Integer, nullable=False, comment="the last row of it in the audit"),
)

notice_targets = Table(
    "notice_targets",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("owner_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String(60), nullable=False),
    Column("service", String(60), nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="the Fernet token of its URL"),
    Column("added_at", Utc, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("owner_id", String(32), nullable=False, index=True),
    Column("target_id", String(16), nullable=False, comment="which may be gone"),
    Column("at", Utc, nullable=False),
    Column("title", String(200), nullable=False),
    Column("body", String(4096), nullable=False, comment="empty when it has ended"),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("due_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("reason", String(300), nullable=False),
)

order_intents = Table(
    "order_intents",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("order_id", String(40), nullable=False, unique=True),
    Column("account_id", String(64), nullable=False, index=True),
    Column("body", JSON, nullable=False),
)

order_keys = Table(
    "order_keys",
    metadata,
    Column("account_id", String(64), primary_key=True),
    Column("strategy_id", String(100), primary_key=True, comment="empty: unattributed"),
    Column("name", String(200), primary_key=True),
    Column("digest", String(64), nullable=False, comment="SHA-256 of what was asked"),
    Column("order_id", String(40), comment="null where nothing had to be sent"),
    Column("at", Utc, nullable=False, index=True),
)

order_journal = Table(
    "order_journal",
    metadata,
    Column("account_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("at", Utc, nullable=False),
    Column("body", JSON, nullable=False),
)
