"""The check of the orders itself: it accuses no world that only goes on, and misses no fault."""

import pytest

from tests.chaos.orders import order_breaches


class BusyWorld:
    """Between any two looks a trader sends one more order, which is booked and acknowledged."""

    def __init__(self) -> None:
        self._acknowledged: dict[int, str] = {}
        self._booked: list[tuple[int, str]] = []
        self._sent: set[int] = set()
        self.place()

    def place(self) -> None:
        number = len(self._sent) + 1
        self._sent.add(number)
        self._booked.append((number, f"id-{number}"))
        self._acknowledged[number] = f"id-{number}"

    def acknowledged(self) -> dict[int, str]:
        seen = dict(self._acknowledged)
        self.place()
        return seen

    def booked(self) -> list[tuple[int, str]]:
        seen = list(self._booked)
        self.place()
        return seen

    def sent(self) -> set[int]:
        seen = set(self._sent)
        self.place()
        return seen

    def lose(self) -> None:
        self._booked.pop()

    def double(self) -> None:
        self._booked.append((self._booked[-1][0], "id-again"))

    def invent(self) -> None:
        self._booked.append((9000, "id-9000"))

    def forget_all(self) -> None:
        self.__init__()  # type: ignore[misc]
        self._acknowledged.clear()
        self._booked.clear()
        self.place = lambda: None  # type: ignore[method-assign]


def test_orders_placed_while_we_look_are_no_breach() -> None:
    """Regression: sent was once read before the book, and the newest order was nobody's."""
    assert list(order_breaches(BusyWorld())) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (BusyWorld.lose, ["Order 1 was acknowledged as id-1 and is lost."]),
        (
            BusyWorld.double,
            [
                "Order 1 was sent once and is there 2 times.",
                "Order 1 was acknowledged as id-1 and is lost.",
            ],
        ),
        (BusyWorld.invent, ["Order 9000 was never sent and is there."]),
        (
            BusyWorld.forget_all,
            ["No order was acknowledged at all, so nothing was shown."],
        ),
    ],
)
def test_a_fault_is_found_in_a_world_that_goes_on(fault: object, said: list[str]) -> None:
    """Promise 10. One fault at a time, each with its own sentence."""
    world = BusyWorld()
    fault(world)  # type: ignore[operator]
    assert list(order_breaches(world)) == said
