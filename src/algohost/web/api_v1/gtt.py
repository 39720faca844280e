"""GTTs: orders that wait for a price for up to a year, of type SINGLE or OCO."""

from datetime import datetime
from typing import Any, Final

from starlette.responses import Response

from algohost.domain.errors import Invalid
from algohost.domain.gtt import Gtt, GttId, GttKind, GttLeg, GttRequest, GttStatus
from algohost.domain.ids import IST
from algohost.domain.money import ZERO
from algohost.domain.orders import PriceType
from algohost.web.api_v1.answers import in_turns, price, success
from algohost.web.api_v1.call import KEY_FIELD, Call
from algohost.web.api_v1.contracts import refuse_untradable
from algohost.web.api_v1.gtt_requests import CancelGtt, GttBook, GttShown, ModifyGtt, PlaceGtt
from algohost.web.api_v1.orders import scope_of

_KINDS: Final = {GttKind.SINGLE: "single", GttKind.OCO: "two-leg"}


async def place_gtt(call: Call[PlaceGtt]) -> Response:
    """``placegttorder``: holds no margin until its order is placed."""
    if call.key is not None:
        raise Invalid(
            f"{KEY_FIELD} counts for orders and not for GTTs; leave it out, and look at"
            " gttorderbook before you place one again.",
            code="BAD_FIELDS",
        )
    refuse_untradable(call, call.asked.key)
    gtt = await call.host.gateway.place_gtt(call.principal.book, gtt_request(call.asked))
    return success(trigger_id=gtt.id)


async def modify_gtt(call: Call[ModifyGtt]) -> Response:
    """``modifygttorder``: everything but the instrument, the action and the type is replaced."""
    asked, scope = call.asked, scope_of(call.principal)
    request = gtt_request(asked)
    gtt = await call.host.gateway.modify_gtt(scope, GttId(asked.trigger_id), request)
    return success(trigger_id=gtt.id)


async def cancel_gtt(call: Call[CancelGtt]) -> Response:
    """``cancelgttorder``: an OCO with both its legs."""
    scope = scope_of(call.principal)
    gtt = await call.host.gateway.cancel_gtt(scope, GttId(call.asked.trigger_id))
    return success(trigger_id=gtt.id)


async def gtt_book(call: Call[GttBook]) -> Response:
    """``gttorderbook``: those that can still fire, or with ``status=all`` the past ones too."""
    await call.host.gateway.recover(call.principal.account_id)
    found = call.host.gateway.gtts(scope_of(call.principal))
    if call.asked.status is GttShown.ACTIVE:
        found = [one for one in found if one.status is GttStatus.ACTIVE]
    active_first = sorted(found, key=lambda one: one.status is not GttStatus.ACTIVE)
    return success(data=await in_turns(active_first, _gtt_row))


def gtt_request(asked: PlaceGtt) -> GttRequest:
    """The GTT in the gateway's terms. Raises ``Invalid`` where fields do not fit each other."""
    return GttRequest(
        key=asked.key,
        action=asked.action,
        quantity=asked.quantity,
        product=asked.product,
        kind=asked.trigger_type,
        legs=_oco_legs(asked) if asked.trigger_type is GttKind.OCO else [_single_leg(asked)],
        label=asked.strategy,
    )


def _single_leg(asked: PlaceGtt) -> GttLeg:
    triggers = [one for one in (asked.triggerprice_sl, asked.triggerprice_tg) if one]
    if len(triggers) != 1:
        raise Invalid(
            "A SINGLE GTT has one trigger: give triggerprice_sl for one below the last price or"
            " triggerprice_tg for one above it, and leave the other 0.",
            code="BAD_FIELDS",
        )
    is_market = asked.pricetype is PriceType.MARKET
    if not is_market and not asked.price:
        raise Invalid(
            "price is 0: give the price of the LIMIT order that the trigger places, or use"
            " pricetype MARKET.",
            code="BAD_FIELDS",
        )
    return GttLeg(
        trigger_price=triggers[0],
        price_type=asked.pricetype,
        price=ZERO if is_market else asked.price,
    )


def _oco_legs(asked: PlaceGtt) -> list[GttLeg]:
    needed = {
        "triggerprice_sl": asked.triggerprice_sl,
        "stoploss": asked.stoploss,
        "triggerprice_tg": asked.triggerprice_tg,
        "target": asked.target,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise Invalid(
            f"An OCO GTT has two legs, each with a trigger and a price: {', '.join(missing)}"
            f" {'is' if len(missing) == 1 else 'are'} missing or 0.",
            code="BAD_FIELDS",
        )
    if asked.triggerprice_sl >= asked.triggerprice_tg:
        raise Invalid(
            f"triggerprice_sl {asked.triggerprice_sl} must be below triggerprice_tg"
            f" {asked.triggerprice_tg}: the stop-loss is below the last price, the target above.",
            code="BAD_FIELDS",
        )
    is_market = asked.pricetype is PriceType.MARKET
    pairs = ((asked.triggerprice_sl, asked.stoploss), (asked.triggerprice_tg, asked.target))
    return [
        GttLeg(
            trigger_price=trigger,
            price_type=asked.pricetype,
            price=ZERO if is_market else limit,
        )
        for trigger, limit in pairs
    ]


def _gtt_row(gtt: Gtt) -> dict[str, Any]:
    request = gtt.request
    return {
        "trigger_id": gtt.id,
        "trigger_type": _KINDS[request.kind],
        "status": gtt.status.value,
        "symbol": request.key.symbol,
        "exchange": request.key.exchange.value,
        "trigger_prices": [price(leg.trigger_price) for leg in request.legs],
        "last_price": price(gtt.last_price),
        "legs": [
            {
                "action": request.action.value,
                "quantity": request.quantity,
                "price": price(leg.price),
                "pricetype": leg.price_type.value,
                "product": request.product.value,
            }
            for leg in request.legs
        ],
        "created_at": _stamp(gtt.placed_at),
        "updated_at": "" if gtt.updated_at == gtt.placed_at else _stamp(gtt.updated_at),
        "expires_at": _stamp(gtt.expires_at),
        **_ended(gtt),
    }


def _ended(gtt: Gtt) -> dict[str, Any]:
    if gtt.status is GttStatus.TRIGGERED:
        return {"orderid": gtt.order_id}
    return {"reason": gtt.reason} if gtt.status is not GttStatus.ACTIVE else {}


def _stamp(at: datetime) -> str:
    """``2026-04-29 12:18:42`` in IST."""
    return at.astimezone(IST).strftime("%Y-%m-%d %H:%M:%S")
