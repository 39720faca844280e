"""Keys under which orders were sent, so that a request that is sent again trades once."""

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds nothing yet."""
