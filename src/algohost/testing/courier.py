"""A courier that keeps what it is given, and fails as it is told."""

from collections.abc import Sequence

from algohost.domain.errors import Invalid
from algohost.domain.notices import Courier, Delivery, Letter


class FakeCourier(Courier):
    """Takes addresses of the form ``fake://…``."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        """Everything it was given, failed tries included."""
        self.reason = ""
        """Why the next tries fail; empty where they arrive."""

    async def look_at(self, url: str) -> str:
        """As ``Courier.look_at``."""
        if not url.startswith("fake://"):
            raise Invalid("The address is not one of fake://.", code="BAD_TARGET")
        return "Fake"

    async def deliver(self, letters: Sequence[Letter]) -> Sequence[Delivery]:
        """As ``Courier.deliver``."""
        self.letters += letters
        return [Delivery(reason=self.reason) for _ in letters]
