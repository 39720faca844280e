"""What is said to an OpenAlgo server over HTTP, and what its answer means for certain.

    command() ──▶ Answer            it did what was asked
              ──▶ Refused           it says no: nothing happened there
              ──▶ NotSent           nothing reached it, or it was too busy to look
              ──▶ OutcomeUnknown    it may have happened: a timeout, a cut, a fault of its own

The key is in bodies and nowhere else: not in addresses, messages, logs or ``repr``.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import httpx

from algohost.broker.openalgo_reach import JudgedTransport, NotReachable, ReachOf
from algohost.broker.ports import OutcomeUnknown
from algohost.domain.errors import Invalid, Unavailable
from algohost.domain.orders import OrderRequest
from algohost.domain.reach import NOT_ALLOWED, PUBLIC_ONLY, refused

BROKER_SILENT: Final = "BROKER_SILENT"
BROKER_BUSY: Final = "BROKER_BUSY"
BROKER_REFUSES_KEY: Final = "BROKER_REFUSES_KEY"
BROKER_ANSWER: Final = "BROKER_ANSWER"

_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What httpx raises before the first byte of a request has left."""
_LONGEST_SAID: Final = 300
_MOST_BYTES: Final = 64 * 1024 * 1024
_PATIENCE_FACTOR: Final = 4


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a server is waited for, in seconds."""

    connect_seconds: float = 3.0
    answer_seconds: float = 15.0
    """For an order: the server asks its broker, who may be slow."""
    busy_seconds: float = 3.0
    """How long one order may be held back altogether by answers “too many requests”."""
    most_retries: int = 3


class Refused(Invalid):
    """The server said no, so nothing happened there."""

    code = "BROKER_REFUSED"


class NotSent(Unavailable):
    """The server certainly did not look at it."""

    code = BROKER_SILENT


Answer = dict[str, Any]
Sleep = Callable[[float], Awaitable[None]]


class OpenAlgoHttp:
    """One OpenAlgo server, asked with one key. Connections are kept and shared."""

    def __init__(
        self,
        base_url: str,
        key: Callable[[], str],
        *,
        reach: ReachOf = lambda: PUBLIC_ONLY,
        patience: Patience | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``key`` and ``reach`` are asked at each call, so that what changed counts at once."""
        self.base_url = base_url
        self._key = key
        self._patience = patience or Patience()
        self._sleep = sleep
        waits = httpx.Timeout(self._patience.answer_seconds)
        waits.connect = waits.pool = self._patience.connect_seconds
        limits = httpx.Limits(max_connections=16, max_keepalive_connections=8)
        plain = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
        self._client = httpx.AsyncClient(
            timeout=waits,
            transport=JudgedTransport(reach, within=plain),
            follow_redirects=False,
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"OpenAlgoHttp({self.base_url!r})"

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def command(self, name: str, fields: Mapping[str, object]) -> Answer:
        """Has the server do something, once. Raises as the module says."""
        waited = 0.0
        for attempt in range(self._patience.most_retries + 1):
            response = await self._sent(name, fields)
            if response.status_code != 429:
                return _meaning(name, response)
            pause = retry_after_seconds(response)
            waited += pause
            if attempt == self._patience.most_retries or waited > self._patience.busy_seconds:
                break
            await self._sleep(pause)
        raise NotSent(
            f"The broker's server takes no more orders for now; try again in {pause:.0f} s.",
            code=BROKER_BUSY,
            details={"retry_after_seconds": pause},
        )

    async def ask(self, name: str, fields: Mapping[str, object] | None = None) -> Answer:
        """Asks the server for something. Raises ``Unavailable`` where it gives no good answer,
        ``Refused`` where it says no."""
        try:
            return await self.command(name, fields or {})
        except OutcomeUnknown as unknown:
            raise Unavailable(
                f"The broker's server gave no good answer to {name}; it is asked again.",
                code=BROKER_SILENT,
            ) from unknown

    async def _sent(self, name: str, fields: Mapping[str, object]) -> httpx.Response:
        body = {"apikey": self._key(), **fields}
        try:
            return await self._posted(f"{self.base_url}/api/v1/{name}", body)
        except NotReachable as error:
            sentence = refused(httpx.URL(self.base_url).host).message
            raise NotSent(sentence, code=NOT_ALLOWED) from error
        except _NEVER_SENT as error:
            raise NotSent(
                "The broker's server cannot be reached"
                f" ({type(error).__name__}); nothing was sent. Look whether it runs."
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise OutcomeUnknown(
                f"The broker's server was cut off before it answered ({type(error).__name__}), so"
                " whether it took this is not known yet."
            ) from error

    async def _posted(self, url: str, body: Mapping[str, object]) -> httpx.Response:
        """The whole answer, of bounded length and within a bounded time, drop by drop or not."""
        longest = self._patience.connect_seconds + _PATIENCE_FACTOR * self._patience.answer_seconds
        async with (
            asyncio.timeout(longest),
            self._client.stream("POST", url, json=body) as response,
        ):
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > _MOST_BYTES:
                    raise httpx.ReadError(f"The answer is longer than {_MOST_BYTES} bytes.")
        return httpx.Response(
            response.status_code,
            headers=[(n, v) for n, v in response.headers.items() if n != "content-encoding"],
            content=bytes(content),
        )


def retry_after_seconds(response: httpx.Response) -> float:
    """What ``Retry-After`` says; one second where it says nothing that can be read."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return 1.0
    return min(max(seconds, 0.0), 3600.0) if math.isfinite(seconds) else 1.0


def said(answer: Mapping[str, Any]) -> str:
    """The message of an answer as one printable line of bounded length."""
    message = answer.get("message")
    text = message if isinstance(message, str) else json.dumps(message, default=str)
    printable = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(printable.split())[:_LONGEST_SAID]


def _meaning(name: str, response: httpx.Response) -> Answer:
    status = response.status_code
    answer = _object(response)
    if status >= 500 or (200 <= status < 300 and answer is None):
        raise OutcomeUnknown(
            f"The broker's server answered {name} with {status} and no word that can be relied"
            " on, so whether it took this is not known yet."
        )
    if answer is not None and 200 <= status < 300 and answer.get("status") == "success":
        return answer
    message = said(answer) if answer else f"HTTP status {status}"
    if status in {401, 403}:
        raise Refused(
            f"The OpenAlgo server refuses the account's key ({message}). Give the account its"
            " present key, and log that server in to its broker.",
            code=BROKER_REFUSES_KEY,
        )
    raise Refused(f"{message.rstrip('.')}." if message else f"The broker refused {name}.")


def _object(response: httpx.Response) -> Answer | None:
    """The JSON object of an answer, its numbers exact; ``None`` where it is none."""
    try:
        found = json.loads(response.content, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number")


def order_fields(request: OrderRequest, *, tag: str) -> dict[str, str]:
    """An order as OpenAlgo's own client writes it: numbers as text."""
    return {
        "strategy": tag,
        "symbol": request.key.symbol,
        "exchange": request.key.exchange.value,
        "action": request.action.value,
        "quantity": str(request.quantity),
        "pricetype": request.price_type.value,
        "product": request.product.value,
        "price": f"{request.price:f}",
        "trigger_price": f"{request.trigger_price:f}",
        "disclosed_quantity": str(request.disclosed_quantity),
    }
