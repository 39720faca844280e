"""Several orders in one call: baskets and splits, with a result for each.

What is malformed is refused before anything is placed. What is placed is placed order by order:
one that is refused does not keep the others back, and says why in its own result. Purchases go
first, so that what they bring is there for the sales, as in OpenAlgo.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Final

from starlette.responses import Response

from algohost.domain.errors import AlgohostError, Invalid
from algohost.domain.orders import Action, Order, OrderRequest, OrderStatus
from algohost.web.api_v1.answers import failure, mode_fields, success
from algohost.web.api_v1.call import Call
from algohost.web.api_v1.contracts import refuse_untradable
from algohost.web.api_v1.order_requests import MOST_ORDERS, Basket, SplitOrder
from algohost.web.api_v1.requests import Asked

log = logging.getLogger(__name__)

NOT_CONFIRMED: Final = (
    "Sent, and not yet confirmed; ask for its orderstatus before sending it again."
)
_FAILED_HERE: Final = (
    "This server failed while the order was on its way; look at the order book before sending it"
    " again. The server's log says more."
)


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One order of several, and what its result says beside how it went."""

    request: OrderRequest
    number: int
    """Its place in the request, from 1."""
    named: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """How one order of several went."""

    row: dict[str, Any]
    refusal: str = ""
    """Why it was not placed; empty for one that was."""
    http_status: int = 200


async def basket_order(call: Call[Basket]) -> Response:
    """``basketorder``: purchases first, a result for each order in the order of placing."""
    asked = call.asked
    legs = [
        Leg(request=one.labelled(asked.strategy), number=number, named={"symbol": one.symbol})
        for number, one in enumerate(asked.orders, start=1)
    ]
    placed = await place_all(call, buys_first(legs))
    return answered(placed)


async def split_order(call: Call[SplitOrder]) -> Response:
    """``splitorder``: pieces of ``splitsize`` units, the last with what is left."""
    asked = call.asked
    pieces = pieces_of(asked.quantity, asked.splitsize)
    whole = asked.order()
    legs = [
        Leg(
            request=of_quantity(whole, quantity),
            number=number,
            named={"order_num": number, "quantity": quantity},
        )
        for number, quantity in enumerate(pieces, start=1)
    ]
    placed = await place_all(call, legs)
    return answered(placed, split_size=asked.splitsize, total_quantity=asked.quantity)


def pieces_of(quantity: int, size: int) -> list[int]:
    """``quantity`` in pieces of ``size``. Raises ``Invalid`` for more than are placed at once."""
    whole, rest = divmod(quantity, size)
    if whole + (rest > 0) > MOST_ORDERS:
        least = -(-quantity // MOST_ORDERS)
        raise Invalid(
            f"{quantity} units in pieces of {size} would be {whole + (rest > 0)} orders, and"
            f" {MOST_ORDERS} are placed at once; splitsize must be {least} or more.",
            code="TOO_MANY_ORDERS",
        )
    return [size] * whole + ([rest] if rest else [])


def of_quantity(request: OrderRequest, quantity: int) -> OrderRequest:
    """``request`` for ``quantity`` units; it shows no more of them than there are."""
    shown = min(request.disclosed_quantity, quantity)
    return replace(request, quantity=quantity, disclosed_quantity=shown)


def buys_first(legs: Sequence[Leg]) -> list[Leg]:
    """Purchases before sales, each side in the order in which it was sent."""
    return sorted(legs, key=lambda leg: leg.request.action is Action.SELL)


async def place_all(call: Call[Any], legs: Sequence[Leg]) -> list[Placed]:
    """Places every leg: neighbours of one side together, a side when the one before it is through.

    What was sent together shares the disk's sync, so that a hundred orders wait for a few.
    """
    placed: list[Placed] = []
    for side in sides_of(legs):
        placed += await asyncio.gather(*(_place(call, leg) for leg in side))
    return placed


def sides_of(legs: Sequence[Leg]) -> list[list[Leg]]:
    """The legs cut where the action changes."""
    return [list(group) for _, group in groupby(legs, key=lambda leg: leg.request.action)]


def answered(placed: Sequence[Placed], **fields: Any) -> Response:
    """200 with a result for each leg; where none was placed, 400 or what all of them were."""
    rows = [one.row for one in placed]
    refused = [one for one in placed if one.refusal]
    if len(refused) < len(placed):
        counted = f"{len(placed) - len(refused)} of {len(placed)} orders were placed."
        said = {"message": counted} if refused else {}
        return success(results=rows, **said, **fields)
    statuses = {one.http_status for one in refused}
    return failure(
        f"None of {len(placed)} orders was placed. The first: {refused[0].refusal}",
        statuses.pop() if len(statuses) == 1 else 400,
        fields={**mode_fields(), "results": rows, **fields},
    )


def order_fields(order: Order) -> dict[str, Any]:
    """How an order that was sent went, in the fields of a result."""
    if order.status is OrderStatus.REJECTED:
        return {"status": "error", "orderid": order.id, "message": order.reason}
    if order.status is OrderStatus.UNKNOWN:
        return {"status": "success", "orderid": order.id, "message": NOT_CONFIRMED}
    return {"status": "success", "orderid": order.id}


async def _place(call: Call[Asked], leg: Leg) -> Placed:
    try:
        refuse_untradable(call, leg.request.key)
        order = await call.host.gateway.place(
            call.principal.book, leg.request, key=call.key_of(leg.number)
        )
    except AlgohostError as error:
        return _refused(leg, error.message, error.http_status)
    except Exception:
        # the numbers of the other legs, which were placed, must reach the caller
        log.exception("leg_failed instrument=%s", leg.request.key)
        return _refused(leg, _FAILED_HERE, 500)
    refusal = order.reason if order.status is OrderStatus.REJECTED else ""
    return Placed(
        row={**leg.named, **order_fields(order)},
        refusal=refusal,
        http_status=400 if refusal else 200,
    )


def _refused(leg: Leg, message: str, status: int) -> Placed:
    row = {**leg.named, "status": "error", "message": message}
    return Placed(row=row, refusal=message, http_status=status)
