"""What is written in one turn of the loop leaves in one piece, and all of it leaves."""

import asyncio
from typing import Any, cast

import pytest

from algohost.web.one_write import MOST_HELD, OneWrite


class Wire:
    """A transport that notes what is done with it."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.is_ending = False

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def is_closing(self) -> bool:
        return self.is_ending

    def close(self) -> None:
        self.is_ending = True
        self.done.append("close")

    def set_protocol(self, protocol: object) -> None:
        self.done.append(protocol)

    def get_extra_info(self, name: str) -> str:
        return name


async def _turn() -> None:
    await asyncio.sleep(0)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def over(wire: Wire) -> OneWrite:
    return OneWrite(cast("Any", wire), asyncio.get_running_loop())


def test_head_and_body_leave_together_and_the_next_answer_by_itself(wire: Wire) -> None:
    async def main() -> None:
        transport = over(wire)
        transport.write(b"head ")
        transport.write(b"body")
        assert wire.done == []
        await _turn()
        transport.write(b"next")
        await _turn()
        await _turn()
        assert wire.done == [b"head body", b"next"]

    asyncio.run(main())


@pytest.mark.parametrize("what", ["close", "set_protocol"])
def test_what_was_written_before_a_change_leaves_before_it(wire: Wire, what: str) -> None:
    async def main() -> None:
        transport, protocol = over(wire), asyncio.Protocol()
        transport.write(b"bye")
        if what == "close":
            transport.close()
        else:
            transport.set_protocol(protocol)
        await _turn()
        assert wire.done == [b"bye", "close" if what == "close" else protocol]

    asyncio.run(main())


def test_much_is_written_at_once_so_that_a_full_transport_can_say_so(wire: Wire) -> None:
    async def main() -> None:
        transport = over(wire)
        transport.write(b"x" * MOST_HELD)
        transport.write(b"y")
        assert wire.done == [b"x" * MOST_HELD + b"y"]
        await _turn()
        assert len(wire.done) == 1

    asyncio.run(main())


def test_nothing_is_written_to_a_connection_that_was_lost(wire: Wire) -> None:
    async def main() -> None:
        transport = over(wire)
        transport.write(b"late")
        wire.is_ending = True
        await _turn()
        assert wire.done == []
        assert transport.get_extra_info("peername") == "peername"

    asyncio.run(main())
