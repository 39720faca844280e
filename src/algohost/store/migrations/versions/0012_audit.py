"""Who did what: a chain in which nothing can be changed unseen."""

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Adds nothing yet."""
