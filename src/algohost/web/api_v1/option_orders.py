"""Orders for options that are named by their distance from the money."""

import asyncio
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from starlette.responses import Response

from algohost.domain.accounts import mode_of
from algohost.domain.contract_symbols import ContractKind
from algohost.domain.errors import AlgohostError, Invalid, Unavailable
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.strategies import Mode
from algohost.market.options import resolve_option
from algohost.web.api_v1.answers import failure, mode_fields, price, success
from algohost.web.api_v1.batches import (
    Leg,
    Placed,
    answered,
    buys_first,
    of_quantity,
    pieces_of,
    place_all,
)
from algohost.web.api_v1.call import Call
from algohost.web.api_v1.contracts import the_list
from algohost.web.api_v1.live import expiry_word
from algohost.web.api_v1.option_order_requests import OptionsMultiOrder, OptionsOrder, OptionTerms
from algohost.web.api_v1.order_requests import MOST_ORDERS

_OPTION: Final = re.compile(r"[A-Z0-9&_.-]{1,62}(?:CE|PE)")
_PIECE: Final = frozenset({"order_num", "quantity"})


async def options_order(call: Call[OptionsOrder]) -> Response:
    """``optionsorder``: the option is found and ordered; in pieces where ``splitsize`` says so."""
    asked = call.asked
    found = await _found(call, asked, asked.expiry_date)
    placed = await place_all(call, _legs_of(asked, found, asked.strategy))
    facts = {
        "symbol": found.key.symbol,
        "exchange": found.key.exchange.value,
        "underlying": asked.underlying,
        "underlying_ltp": price(found.underlying_ltp),
        "offset": found.offset,
        "option_type": found.option_type.value,
    }
    if asked.splitsize:
        pieces = [replace(one, row=_without(one.row, {"leg"})) for one in placed]
        return answered(pieces, split_size=asked.splitsize, total_quantity=asked.quantity, **facts)
    (only,) = placed
    row = {name: value for name, value in only.row.items() if name in {"orderid", "message"}}
    if not only.refusal:
        return success(**row, **facts)
    row.pop("message", None)
    return failure(only.refusal, only.http_status, fields={**mode_fields(), **row, **facts})


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The option that was meant."""

    key: InstrumentKey
    underlying_ltp: Decimal
    offset: str
    option_type: ContractKind


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """One leg of several: the option it is, or why it is none."""

    number: int
    terms: OptionTerms
    found: Chosen | None = None
    refusal: AlgohostError | None = None

    def row(self) -> dict[str, Any]:
        """What its result says, however it goes."""
        return {
            "leg": self.number,
            "symbol": "" if self.found is None else self.found.key.symbol,
            "offset": self.terms.offset,
            "option_type": self.terms.option_type.value,
            "action": self.terms.action.value,
        }


async def options_multi_order(call: Call[OptionsMultiOrder]) -> Response:
    """``optionsmultiorder``: every leg is found at the same prices; purchases are placed first.

    A leg that cannot be found or placed says why and does not keep the others back. The results
    are in the order of the legs.
    """
    asked = call.asked
    numbered = enumerate(asked.legs, start=1)
    plans = await asyncio.gather(*(_planned(call, number, one) for number, one in numbered))
    legs: list[Leg] = []
    for plan in plans:
        if plan.found is not None:
            legs += _legs_of(plan.terms, plan.found, asked.strategy, after=legs, leg=plan.number)
    if len(legs) > MOST_ORDERS:
        raise Invalid(
            f"The legs and their pieces are {len(legs)} orders, and {MOST_ORDERS} are placed at"
            " once; use larger pieces.",
            code="TOO_MANY_ORDERS",
        )
    ordered = buys_first(legs)
    by_leg: dict[int, list[Placed]] = {plan.number: [] for plan in plans}
    for leg, how in zip(ordered, await place_all(call, ordered), strict=True):
        by_leg[leg.named["leg"]].append(how)
    prices = [plan.found.underlying_ltp for plan in plans if plan.found is not None]
    return answered(
        [_result(plan, by_leg[plan.number]) for plan in plans],
        underlying=asked.underlying,
        underlying_ltp=price(prices[0]) if prices else 0.0,
    )


async def _found(
    call: Call[OptionsOrder] | Call[OptionsMultiOrder], terms: OptionTerms, expiry: date | None
) -> Chosen:
    """By the prices of the account: this host's market, or those of a live account's server."""
    host, offset, kind = call.host, terms.offset, terms.option_type
    if mode_of(call.principal.account_id) is Mode.LIVE:
        named = {
            "underlying": call.asked.underlying,
            "exchange": call.asked.exchange.value,
            "offset": offset,
            "option_type": kind.value,
            **({} if expiry is None else {"expiry_date": expiry_word(expiry)}),
        }
        told = await host.gateway.ask_broker(call.principal.account_id, "optionsymbol", named)
        key, last = chosen_from(told, kind)
        return Chosen(key=key, underlying_ltp=last, offset=offset, option_type=kind)
    found = resolve_option(
        the_list(host),
        host.market,
        underlying=call.asked.key,
        expiry=expiry,
        offset=offset,
        option_type=kind.value,
    )
    return Chosen(
        key=found.instrument.key,
        underlying_ltp=found.underlying_ltp,
        offset=found.offset,
        option_type=found.option_type,
    )


def chosen_from(told: Mapping[str, object], kind: ContractKind) -> tuple[InstrumentKey, Decimal]:
    """The option in another server's answer to ``optionsymbol``, and the underlying's last price.

    Raises ``Unavailable`` for an answer that names none of that kind: nothing is guessed.
    """
    symbol, exchange, last = told.get("symbol"), told.get("exchange"), told.get("underlying_ltp")
    try:
        ltp, listed_at = Decimal(str(last or 0)), Exchange(str(exchange))
    except (ValueError, InvalidOperation):
        ltp, listed_at = Decimal("NaN"), Exchange.NFO
    if (
        not isinstance(symbol, str)
        or _OPTION.fullmatch(symbol) is None
        or not symbol.endswith(kind.value)
        or not ltp.is_finite()
    ):
        raise Unavailable(
            "The account's server answered optionsymbol with something that names no such option,"
            " so nothing was ordered; try again.",
            code="BROKER_ANSWER",
        )
    return InstrumentKey(exchange=listed_at, symbol=symbol), ltp


async def _planned(call: Call[OptionsMultiOrder], number: int, terms: OptionTerms) -> _Plan:
    try:
        found = await _found(call, terms, terms.expiry_date or call.asked.expiry_date)
    except AlgohostError as error:
        return _Plan(number=number, terms=terms, refusal=error)
    return _Plan(number=number, terms=terms, found=found)


def _legs_of(
    terms: OptionTerms,
    found: Chosen,
    label: str,
    *,
    after: Sequence[Leg] = (),
    leg: int = 1,
) -> list[Leg]:
    """The orders of one leg: one, or the pieces it is split into; numbered on from ``after``."""
    whole = terms.order_for(found.key, label)
    pieces = pieces_of(terms.quantity, terms.splitsize or terms.quantity)
    return [
        Leg(
            request=of_quantity(whole, quantity),
            number=len(after) + piece,
            named={"leg": leg, "order_num": piece, "quantity": quantity},
        )
        for piece, quantity in enumerate(pieces, start=1)
    ]


def _result(plan: _Plan, placed: Sequence[Placed]) -> Placed:
    """How a leg went: as its order did, or with the pieces where it was split."""
    if plan.refusal is not None:
        said = {"status": "error", "message": plan.refusal.message}
        return Placed(
            row={**plan.row(), **said},
            refusal=plan.refusal.message,
            http_status=plan.refusal.http_status,
        )
    refused = [one for one in placed if one.refusal]
    if not plan.terms.splitsize:
        return replace(placed[0], row={**_without(placed[0].row, _PIECE), **plan.row()})
    return Placed(
        row={
            **plan.row(),
            "status": "error" if len(refused) == len(placed) else "success",
            "total_quantity": plan.terms.quantity,
            "split_size": plan.terms.splitsize,
            "split_results": [_without(one.row, {"leg"}) for one in placed],
        },
        refusal=refused[0].refusal if len(refused) == len(placed) else "",
        http_status=refused[0].http_status if len(refused) == len(placed) else 200,
    )


def _without(row: dict[str, Any], names: Container[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}
