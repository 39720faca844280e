"""A live account's server is connected to only where its owner may have this host connect to."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import httpx
import pytest

from algohost.broker.openalgo_feed import OrderUpdates
from algohost.broker.openalgo_http import OpenAlgoHttp, Patience
from algohost.broker.openalgo_opening import look_at_server
from algohost.broker.openalgo_reach import JudgedTransport, NotReachable, address_of
from algohost.broker.ports import OutcomeUnknown
from algohost.domain.errors import Invalid, Unavailable
from algohost.domain.orders import OrderStatus
from algohost.domain.reach import NOT_ALLOWED, PUBLIC_ONLY, WIDE, Reach, networks_of
from tests.api.served import ACCOUNT_KEY, Served
from tests.live.world import living, run, until

LAN = Reach(networks=networks_of("192.168.1.20, 10.0.0.0/8"))
CLOUD = Reach(is_wide=True, networks=networks_of("169.254.169.254"))

ADDRESSES = [
    ("8.8.8.8", [PUBLIC_ONLY, LAN, WIDE]),
    ("2606:4700::1111", [PUBLIC_ONLY, LAN, WIDE]),
    ("127.0.0.1", [WIDE]),
    ("::1", [WIDE]),
    ("::ffff:127.0.0.1", [WIDE]),
    ("64:ff9b::7f00:1", [WIDE]),
    ("2002:7f00:1::", [WIDE]),
    ("192.168.1.20", [LAN, WIDE]),
    ("::ffff:192.168.1.20", [LAN, WIDE]),
    ("192.168.1.21", [WIDE]),
    ("10.9.8.7", [LAN, WIDE]),
    ("fd00::1", [WIDE]),
    ("169.254.169.254", [CLOUD]),
    ("fe80::1%eth0", []),
    ("0.0.0.0", []),
    ("::", []),
    ("224.0.0.1", []),
    ("255.255.255.255", []),
    ("100.64.0.1", []),
    ("localhost", []),
    ("", []),
]


@pytest.mark.parametrize(("address", "by"), ADDRESSES, ids=[one[0] or "-" for one in ADDRESSES])
def test_which_addresses_may_be_connected_to(address: str, by: list[Reach]) -> None:
    everybody = [PUBLIC_ONLY, LAN, WIDE, CLOUD]
    expected = [one for one in everybody if one in by or (one is CLOUD and WIDE in by)]
    if address == "255.255.255.255":
        assert not PUBLIC_ONLY.allows(address)
        return
    assert [one for one in everybody if one.allows(address)] == expected


def test_a_name_that_leads_to_this_machine_is_connected_to_only_at_what_is_allowed_of_it() -> None:
    """The name has three addresses; it is asked at the public one, by its own name."""
    asked: list[tuple[str, str, str]] = []

    async def names(_host: str) -> Sequence[str]:
        return ["127.0.0.1", "8.8.8.8", "10.1.2.3"]

    def answer(request: httpx.Request) -> httpx.Response:
        named = request.extensions["sni_hostname"]
        asked.append((request.url.host, request.headers["host"], named))
        return httpx.Response(200)

    async def main() -> None:
        within = httpx.MockTransport(answer)
        client = httpx.AsyncClient(
            transport=JudgedTransport(lambda: PUBLIC_ONLY, resolve=names, within=within)
        )
        await client.get("https://algo.example.in/api")
        await client.aclose()

    run(main())
    assert asked == [("8.8.8.8", "algo.example.in", "algo.example.in")]


def test_a_name_that_leads_only_inwards_is_refused_before_anything_is_sent() -> None:
    async def names(_host: str) -> Sequence[str]:
        return ["127.0.0.1", "::1"]

    def answer(_request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    async def main() -> None:
        transport = JudgedTransport(
            lambda: PUBLIC_ONLY, resolve=names, within=httpx.MockTransport(answer)
        )
        with pytest.raises(NotReachable):
            await transport.handle_async_request(httpx.Request("GET", "https://a.example.in/"))

    run(main())


def test_somebodys_account_at_this_machine_says_why_it_is_not_asked(served: Served) -> None:
    async def main() -> None:
        with pytest.raises(Unavailable) as refusal:
            await look_at_server(served.url, ACCOUNT_KEY, PUBLIC_ONLY)
        assert (refusal.value.code, "live_networks" in refusal.value.message) == (NOT_ALLOWED, True)
        with pytest.raises(Invalid):
            await address_of("ws://localhost:8765", PUBLIC_ONLY)
        allowed = Reach(networks=networks_of("127.0.0.0/8"))
        seen = await look_at_server(served.url, ACCOUNT_KEY, allowed)
        assert seen.broker == "paper"

    run(main())


def test_who_stops_being_an_administrator_reaches_the_network_no_more(served: Served) -> None:
    async def main() -> None:
        async with living(served) as world:
            assert (await world.place()).status is not OrderStatus.REJECTED
            world.reach = replace(WIDE, is_wide=False)
            refused = await world.place(quantity=2)
            assert refused.status is OrderStatus.REJECTED
            assert "where only accounts of administrators" in refused.reason
            assert world.proxy.placed == 1

    run(main())


def test_the_feed_of_a_server_that_may_not_be_reached_is_left_alone(served: Served) -> None:
    async def main() -> None:
        before = served.do(lambda: served.feed.connections)
        updates = OrderUpdates(served.feed_url, lambda: ACCOUNT_KEY)
        listening = asyncio.create_task(updates.run(lambda: None))
        await asyncio.sleep(0)
        await until(lambda: not listening.done())
        assert served.do(lambda: served.feed.connections) == before
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    run(main())


@pytest.mark.parametrize("head", [b"content-length: 99999999999", b"x: y"])
def test_an_answer_without_end_is_not_read_to_its_end(head: bytes) -> None:
    """A server that goes on and on takes neither the memory nor the time of this one."""

    serving: list[asyncio.Task[object] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        except OSError:
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        http = OpenAlgoHttp(
            f"http://127.0.0.1:{port}",
            lambda: "k" * 20,
            reach=lambda: WIDE,
            patience=Patience(connect_seconds=1.0, answer_seconds=0.1),
        )
        async with asyncio.timeout(10):
            with pytest.raises(OutcomeUnknown):
                await http.command("placeorder", {})
        await http.close()
        server.close()
        for task in serving:
            assert task is not None
            task.cancel()
        await asyncio.gather(*(one for one in serving if one), return_exceptions=True)

    run(main())
