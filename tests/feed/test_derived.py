"""What follows from another price ticks for whoever follows it, and for nobody else."""

from algohost.domain.quotes import Quote
from tests.api.served import Served
from tests.feed.conftest import Opens

OPTION = {"symbol": "NIFTY05JUN2521750CE", "exchange": "NFO"}


def test_an_option_that_is_followed_ticks(server: Served, client: Opens) -> None:
    one = client()
    reply = one.ask(action="subscribe", symbols=[OPTION], mode="Quote")
    assert reply["status"] == "success"
    first = one.hear()
    assert {name: first[name] for name in OPTION} == OPTION
    server.tick(2)
    second = one.hear()
    quote = server.post("quotes", **OPTION).json()["data"]
    assert second["data"]["ltp"] == quote["ltp"]
    assert second["data"]["volume"] == quote["volume"] >= first["data"]["volume"]


def test_an_option_that_nobody_follows_any_more_does_not_tick(
    server: Served, client: Opens
) -> None:
    one = client()
    one.ask(action="subscribe", symbols=[OPTION], mode="LTP")
    one.ask(action="unsubscribe", symbols=[OPTION])
    heard: list[Quote] = []
    server.do(lambda: server.host.market.listen(heard.extend))
    server.tick()
    assert heard
    assert OPTION["symbol"] not in {quote.key.symbol for quote in heard}
