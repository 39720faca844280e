"""A whole host with a live account: from the settings page to the broker's order book."""

from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from algohost.bootstrap import open_host
from algohost.broker.views import Scope
from algohost.domain.contract_symbols import ContractKind
from algohost.domain.errors import Unavailable
from algohost.domain.ids import AccountId, OrderId, RunId
from algohost.domain.orders import Action, Book, OrderRequest, OrderStatus
from algohost.domain.strategies import Mode
from algohost.host.tokens import RunTokenIndex, hash_of
from algohost.settings import Settings
from algohost.web.api_v1.live import as_sent
from algohost.web.api_v1.option_orders import chosen_from
from algohost.web.app import create_app
from algohost.web.services import Host
from tests.api.served import ACCOUNT_KEY, Served
from tests.live.faults import proxied
from tests.live.world import SBIN, run

TOKEN = "Zk" + "5" * 64
SOURCE = b"print('namaste')\n"


async def call(host: Host, name: str, **fields: Any) -> httpx.Response:
    """An endpoint of this host's API, with the strategy's token."""
    transport = httpx.ASGITransport(app=create_app(host))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000") as client:
        return await client.post(f"/api/v1/{name}", json={"apikey": TOKEN, **fields})


ORDER = {
    "strategy": "EMA", "symbol": "SBIN", "exchange": "NSE", "action": "BUY", "quantity": 2,
    "pricetype": "MARKET", "product": "MIS",
}  # fmt: skip

UNDERLYING = {"underlying": "NIFTY", "exchange": "NSE_INDEX", "expiry_date": "05JUN25"}
OPTION = {**UNDERLYING, "offset": "OTM1", "option_type": "CE"}
TRADED = {"action": "BUY", "pricetype": "MARKET", "product": "NRML"}


def test_a_live_strategy_trades_at_its_broker_and_sees_its_brokers_prices(
    served: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def main() -> list[str]:
        port = urlsplit(served.url).port or 0
        async with proxied(port) as proxy, open_host(Settings(data_dir=tmp_path)) as host:
            token = host.identity.setup_token() or ""
            user = await host.identity.complete_setup(token, "asha", "a long password")
            account = await host.accounts.add_live(
                user, "Mine", broker="openalgo", api_key=ACCOUNT_KEY, feed_url="",
                base_url=f"http://127.0.0.1:{proxy.port}",
            )  # fmt: skip
            view = await host.strategies.add(
                owner=user, name="EMA", file_name="ema.py", content=SOURCE
            )
            view = await host.modes.to_live(user, view.strategy.id, confirmation="EMA")
            assert (view.strategy.mode, view.strategy.account) == (Mode.LIVE, account.id)
            assert await host.live_gate.closed(view.strategy) == ()
            RunTokenIndex(host.identity).add_run_token(
                hash_of(TOKEN), view.strategy, RunId("0123456789abcdef")
            )
            answers = [
                await call(host, "placeorder", **ORDER),
                await call(host, "orderbook"),
                await call(host, "quotes", symbol="SBIN", exchange="NSE"),
                await call(host, "funds"),
                await call(host, "ping"),
            ]
            placed, book, quotes, _, _ = (one.json() for one in answers)
            assert placed == {"status": "success", "orderid": placed["orderid"]}
            (theirs,) = served.post("orderbook").json()["data"]["orders"]
            (ours,) = book["data"]["orders"]
            assert (ours["symbol"], ours["quantity"], ours["orderid"]) == (
                theirs["symbol"],
                theirs["quantity"],
                placed["orderid"],
            )
            assert theirs["orderid"] != ours["orderid"]
            upstream = served.post("quotes", symbol="SBIN", exchange="NSE").json()
            assert quotes["data"] == upstream["data"]
            gtt = await call(host, "gttorderbook", strategy="EMA")
            assert (gtt.status_code, gtt.json()["status"]) == (400, "error")
            symbol = (await call(host, "optionsymbol", **OPTION)).json()
            traded = {**TRADED, "quantity": symbol["lotsize"]}
            legs = [
                {"offset": "OTM2", "option_type": "CE", **traded},
                {"offset": "OTM2", "option_type": "PE", **traded, "action": "SELL"},
                {"offset": "OTM2", "option_type": "PE", **traded, "expiry_date": "01JAN20"},
            ]
            options = [
                await call(host, "optionsorder", **OPTION, **traded, strategy="EMA"),
                await call(host, "optionsmultiorder", **UNDERLYING, legs=legs, strategy="EMA"),
            ]
            one, several = (answer.json() for answer in options)
            assert one.get("symbol") == symbol["symbol"], one
            assert (one["status"], one["underlying_ltp"]) == ("success", symbol["underlying_ltp"])
            results = [leg["status"] for leg in several["results"]]
            assert results == ["success", "success", "error"]
            ours = (await call(host, "orderbook")).json()["data"]["orders"]
            theirs = served.post("orderbook").json()["data"]["orders"]
            placed = {(row["symbol"], row["action"]) for row in ours}
            assert placed == {(row["symbol"], row["action"]) for row in theirs}
            assert len(theirs) == 4
            return [one.text for one in [*answers, gtt, *options]]

    told = "".join(run(main()))
    assert '"mode"' not in told
    assert ACCOUNT_KEY not in told + caplog.text
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert ACCOUNT_KEY.encode() not in file.read_bytes(), file


def test_a_host_that_comes_back_opens_its_live_accounts_and_knows_their_orders(
    served: Served, tmp_path: Path
) -> None:
    async def first() -> tuple[str, str]:
        async with open_host(Settings(data_dir=tmp_path)) as host:
            token = host.identity.setup_token() or ""
            user = await host.identity.complete_setup(token, "asha", "a long password")
            account = await host.accounts.add_live(
                user, "Mine", broker="openalgo", api_key=ACCOUNT_KEY, feed_url="",
                base_url=served.url,
            )  # fmt: skip
            request = OrderRequest(key=SBIN, action=Action.BUY, quantity=1)
            book = Book(account_id=account.id, strategy_id=None)
            order = await host.gateway.place(book, request)
            return account.id, order.id

    async def second(account_id: str, order_id: str) -> None:
        async with open_host(Settings(data_dir=tmp_path)) as host:
            scope = Scope(account_id=AccountId(account_id))
            found = host.gateway.order(scope, OrderId(order_id))
            assert found.status in {OrderStatus.OPEN, OrderStatus.COMPLETE}
            assert len(served.post("orderbook").json()["data"]["orders"]) == 1

    run(second(*run(first())))


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"symbol": "NIFTY05JUN2524000PE", "exchange": "NFO", "underlying_ltp": 1},
        {"symbol": "NIFTY05JUN2524000CE", "exchange": "MARS", "underlying_ltp": 1},
        {"symbol": "NIFTY05JUN2524000CE", "exchange": "NFO", "underlying_ltp": "nan"},
        {"symbol": "NIFTY CE", "exchange": "NFO", "underlying_ltp": 1},
        {"symbol": ["NIFTYCE"], "exchange": "NFO"},
    ],
)
def test_an_answer_that_is_not_the_option_asked_for_orders_nothing(told: dict[str, Any]) -> None:
    with pytest.raises(Unavailable, match="nothing was ordered"):
        chosen_from(told, ContractKind.CE)


def test_what_was_read_goes_to_another_server_as_it_was_sent() -> None:
    read = {
        "expiry_date": date(2025, 10, 28), "start_date": date(2025, 10, 1), "at": time(15, 30),
        "price": Decimal("1.5"), "kind": ContractKind.CE, "legs": [{"expiry_date": None}],
    }  # fmt: skip
    assert as_sent(read) == {
        "expiry_date": "28OCT25", "start_date": "2025-10-01", "at": "15:30",
        "price": 1.5, "kind": "CE", "legs": [{"expiry_date": None}],
    }  # fmt: skip
