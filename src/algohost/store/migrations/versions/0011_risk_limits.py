"""What strategies, accounts and the host may risk."""

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Adds nothing yet."""
