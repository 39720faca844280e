"""The obvious feed, to compare with: ``python -m benchmarks.feed_rival PORT SYMBOL …``.

At each whole second it sends every client a quote of each symbol that it asked for: one
``json.dumps`` and one awaited ``send`` for each client and symbol, in turn. No keys, no market,
no orders: a real one does all that besides.
"""

import asyncio
import json
import sys
import time

from websockets.asyncio.server import ServerConnection, serve

from algohost.runner import slices


async def main(port: int, symbols: list[str]) -> None:
    """Serves until it is ended."""
    clients: dict[ServerConnection, set[str]] = {}

    async def listen(connection: ServerConnection) -> None:
        wanted = clients.setdefault(connection, set())
        async for message in connection:
            said = json.loads(message)
            wanted.update(one["symbol"] for one in said.get("symbols", ()))
            await connection.send(json.dumps({"type": said["action"], "status": "success"}))

    async with serve(listen, "127.0.0.1", port):
        while True:
            await asyncio.sleep(1 - time.time() % 1)
            at = int(time.time()) * 1000
            for symbol in symbols:
                for connection, wanted in list(clients.items()):
                    if symbol in wanted:
                        await connection.send(json.dumps(_quote(symbol, at)))


def _quote(symbol: str, at: int) -> dict[str, object]:
    return {
        "type": "market_data",
        "symbol": symbol,
        "exchange": "NSE",
        "mode": 2,
        "broker": "rival",
        "data": {
            "open": 1402.3,
            "high": 1418.75,
            "low": 1399.05,
            "close": 1400.1,
            "ltp": 1411.25,
            "bid": 1411.2,
            "ask": 1411.3,
            "volume": 1234567,
            "oi": 0,
            "last_trade_quantity": 25,
            "avg_trade_price": 1409.8125,
            "change": 11.15,
            "change_percent": 0.8,
            "timestamp": at,
        },
    }


if __name__ == "__main__":
    slices.ask_for(slices.PROMPT)
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
