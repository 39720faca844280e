"""Accounts of several kinds, and the account and mode of each strategy."""

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Adds nothing yet."""
