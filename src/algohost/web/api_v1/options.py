"""Options: which one is meant, the chain, greeks, and the future that a call and a put make."""

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from algohost.domain.contract_symbols import ContractKind, expiry_mark, parts_of
from algohost.domain.errors import AlgohostError, Invalid, NotFound, Unavailable
from algohost.domain.instruments import Instrument, InstrumentKey
from algohost.domain.quotes import Quote
from algohost.market.measures import Measured, days_left, measure, synthetic_future
from algohost.market.options import (
    OptionSeries,
    label_of,
    resolve_option,
    series_of,
    spot_of,
)
from algohost.web.api_v1.answers import price, success
from algohost.web.api_v1.call import Call
from algohost.web.api_v1.contracts import listed, refuse_unpriced, the_list
from algohost.web.api_v1.market_data import quote_row
from algohost.web.api_v1.option_requests import (
    AskedOfUnderlying,
    GreeksTerms,
    MultiOptionGreeks,
    OneOption,
    OptionChain,
    OptionGreeks,
    OptionSymbol,
    SyntheticFuture,
)

if TYPE_CHECKING:
    from algohost.web.services import Host

_STRIKES_AT_A_TIME: Final = 20
"""Strikes that are priced before others get their turn; some milliseconds at the first time."""
_SIDES: Final = (("ce", ContractKind.CE), ("pe", ContractKind.PE))


async def option_symbol(call: Call[OptionSymbol]) -> Response:
    """``optionsymbol``: the option so many strikes from the money."""
    asked = call.asked
    refuse_unpriced(call.host, asked.key)
    found = resolve_option(
        the_list(call.host),
        call.host.market,
        underlying=asked.key,
        expiry=asked.expiry_date,
        offset=asked.offset,
        option_type=asked.option_type,
    )
    one = found.instrument
    return success(
        symbol=one.key.symbol,
        exchange=one.key.exchange.value,
        lotsize=one.lot_size,
        tick_size=price(one.tick_size),
        freeze_qty=one.freeze_quantity or 0,
        underlying_ltp=price(found.underlying_ltp),
    )


async def option_chain(call: Call[OptionChain]) -> Response:
    """``optionchain``: the strikes around the money, or all, with both quotes of each."""
    series, count = _series(call.host, call.asked), call.asked.strike_count
    atm = series.atm
    first = 0 if count is None else max(atm - count, 0)
    last = len(series.strikes) if count is None else min(atm + count + 1, len(series.strikes))
    rows = []
    for place in range(first, last):
        rows.append(_strike(call.host, series, place - atm, place))
        if len(rows) % _STRIKES_AT_A_TIME == 0:
            await asyncio.sleep(0)
    if not any(row[side] for row in rows for side, _ in _SIDES):
        refuse_unpriced(call.host, series.key(series.strikes[atm], ContractKind.CE))
    return success(
        underlying=series.base,
        underlying_ltp=price(series.underlying_ltp),
        expiry_date=expiry_mark(series.expiry),
        atm_strike=price(series.strikes[atm]),
        chain=rows,
    )


async def option_greeks(call: Call[OptionGreeks]) -> Response:
    """``optiongreeks``: of one option, by Black's formula at the volatility its price implies."""
    asked = call.asked
    return success(**_greeks(call.host, asked, asked, asked.forward_price))


async def multi_option_greeks(call: Call[MultiOptionGreeks]) -> Response:
    """``multioptiongreeks``: of many; one that has none spoils not the others."""
    rows = [_greeks_or_error(call.host, one, call.asked) for one in call.asked.symbols]
    good = sum(row["status"] == "success" for row in rows)
    return success(
        data=rows, summary={"total": len(rows), "success": good, "failed": len(rows) - good}
    )


async def synthetic(call: Call[SyntheticFuture]) -> Response:
    """``syntheticfuture``: strike + call − put, at the money."""
    series = _series(call.host, call.asked)
    strike = series.strikes[series.atm]
    found = synthetic_future(series, call.host.market)
    if found is None:
        refuse_unpriced(call.host, series.key(strike, ContractKind.CE))
        raise Unavailable(
            f"The call or the put of {series.base} at {strike:f} expiring"
            f" {expiry_mark(series.expiry)} has no price now; ask again later.",
            code="NO_PRICE",
        )
    return success(
        underlying=call.asked.underlying,
        underlying_ltp=price(series.underlying_ltp),
        expiry=expiry_mark(series.expiry),
        atm_strike=price(strike),
        synthetic_future_price=price(found),
    )


def _series(host: "Host", asked: AskedOfUnderlying) -> OptionSeries:
    refuse_unpriced(host, asked.key)
    return series_of(the_list(host), host.market, underlying=asked.key, expiry=asked.expiry_date)


def _strike(host: "Host", series: OptionSeries, steps: int, place: int) -> dict[str, Any]:
    strike = series.strikes[place]
    row: dict[str, Any] = {"strike": price(strike)}
    for side, kind in _SIDES:
        row[side] = _leg(host, series.key(strike, kind), label_of(steps, kind))
    return row


def _leg(host: "Host", key: InstrumentKey, label: str) -> dict[str, Any] | None:
    """One option of a chain; nothing where it is not listed or has no price."""
    found = host.market.find(key)
    if found is None:
        return None
    try:
        quote = host.market.quote(key)
    except Unavailable:
        return None
    return {
        "symbol": key.symbol,
        "label": label,
        **quote_row(quote),
        "lotsize": found.lot_size,
        "tick_size": price(found.tick_size),
    }


# ---- greeks


def _greeks_or_error(host: "Host", one: OneOption, terms: GreeksTerms) -> dict[str, Any]:
    try:
        return {"status": "success", **_greeks(host, one, terms, None)}
    except AlgohostError as error:
        named = {"symbol": one.key.symbol, "exchange": one.exchange.value}
        return {"status": "error", **named, "message": error.message}


def _greeks(
    host: "Host", one: OneOption, terms: GreeksTerms, forward: Decimal | None
) -> dict[str, Any]:
    option = _option(host, one.key)
    series, kind = _series_of(host, option), ContractKind(option.instrument_type)
    days = days_left(series, host.market.now(), terms.expiry_time)
    quote, strike = host.market.quote(option.key), option.strike or Decimal(0)
    level = forward or _level(host, one, series)
    found = measure(
        kind,
        paid=_paid(quote),
        forward=float(level),
        strike=float(strike),
        days=days,
        rate=terms.rate,
    )
    return {
        "symbol": option.key.symbol,
        "exchange": option.key.exchange.value,
        "underlying": series.base,
        "strike": price(strike),
        "option_type": kind.value,
        "expiry_date": f"{series.expiry:%d-%b-%Y}",
        "days_to_expiry": round(days, 4),
        "spot_price": price(level),
        "option_price": price(quote.last),
        "interest_rate": round(100 * terms.rate, 4),
        **_measures(found),
    }


def _measures(found: Measured) -> dict[str, Any]:
    greeks = found.greeks
    return {
        "implied_volatility": round(100 * found.implied_volatility, 2),
        "greeks": {
            "delta": round(greeks.delta, 4),
            "gamma": round(greeks.gamma, 6),
            "theta": round(greeks.theta, 4),
            "vega": round(greeks.vega, 4),
            "rho": round(greeks.rho, 6),
        },
        **({"note": found.note} if found.note else {}),
    }


def _paid(quote: Quote) -> float:
    if quote.last <= 0:
        raise Unavailable(
            f"{quote.key} has no price now, so it implies no volatility; ask again later.",
            code="NO_PRICE",
        )
    return float(quote.last)


def _option(host: "Host", key: InstrumentKey) -> Instrument:
    found = listed(host, key)
    if found.strike is None:
        raise Invalid(
            f"{key} is no option; greeks are of a call (CE) or a put (PE).", code="BAD_FIELDS"
        )
    return found


def _series_of(host: "Host", option: Instrument) -> OptionSeries:
    parts = parts_of(option.key.symbol)
    if parts is None or option.expiry is None:
        raise NotFound(f"{option.key} is no listed option; check the symbol.")
    base = InstrumentKey(exchange=option.key.exchange, symbol=parts.base)
    return series_of(the_list(host), host.market, underlying=base, expiry=option.expiry)


def _level(host: "Host", one: OneOption, series: OptionSeries) -> Decimal:
    """The forward price: of the named underlying; or the synthetic future of the same expiry, or,
    where that has none, the underlying itself."""
    if one.underlying_symbol is None:
        return synthetic_future(series, host.market) or series.underlying_ltp
    name = one.underlying_symbol.strip().upper()
    spot = spot_of(series.exchange, series.base)
    exchange = one.underlying_exchange
    if exchange is None:
        is_future = parts_of(name) is not None or spot is None
        exchange = series.exchange if is_future or spot is None else spot.exchange
    key = InstrumentKey(exchange=exchange, symbol=name)
    listed(host, key)
    return host.market.quote(key).last
