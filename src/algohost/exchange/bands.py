"""Between which prices an instrument may trade on a day: price bands and operating ranges.

Sources, as they stood in November 2026:

- Shares: NSE, "Price Bands" (nseindia.com, equity market, surveillance): daily bands of 2, 5, 10
  or 20 % of the previous close; none for shares on which derivatives are traded, which have an
  operating range ("dynamic price band") of 10 % instead. BSE does the same.
- Futures and options on indices and shares: NSE, "Price Bands" (equity derivatives,
  nseindia.com/products/content/derivatives/equities/price_bands.htm): an operating range of 10 % of
  the base price for futures; for options a range of each contract's own, worked out from its delta.
- How an operating range moves: SEBI/HO/MRD/TPD-1/P/CIR/2024/58 of 24 May 2024: when the market
  comes within 0.1 % of its end, by 5 % twice, by 3 % twice, then by 2 % each time.
- Currency: NSE, "Contract Specifications" (currency derivatives): 3 % of the base price for
  futures of up to six months, 5 % for longer ones.
- Commodities: MCX contract specifications (crude oil, natural gas, gold): 3 or 4 % at first, then
  6 %, then 9 %.

What is approximate:

- Which band a share has is in the exchange's daily list. Where the master contract does not say,
  the widest one, 20 %, is taken, and it moves as an operating range does.
- An operating range moves as soon as the market has traded near its end. The exchange wants 50
  trades by several members and waits 15 minutes or more; and it takes the other end along, and
  cancels orders that are left outside.
- An option's premium may rise by a tenth of its strike, a call's of strike and premium together,
  and fall to nothing; that of a currency option by a twentieth. What a call is on is never worth
  more than that sum, so this is the range of the underlying with a delta of 1: wider than NSE's,
  never narrower.
- A commodity has its widest range, 9 %, all day, and its options that of other options.
- The base price of a contract is its previous close, not its settlement price.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from algohost.domain.contract_symbols import ContractKind
from algohost.domain.instruments import Exchange, Instrument
from algohost.domain.quotes import Quote

_UNKNOWN_SHARE: Final = Decimal(20)
_OPERATING_RANGE: Final = Decimal(10)
_CURRENCY: Final = Decimal(3)
_LONG_CURRENCY: Final = Decimal(5)
_LONG_CURRENCY_DAYS: Final = 183
_COMMODITY: Final = Decimal(9)
_STEPS: Final = (Decimal(5), Decimal(5), Decimal(3), Decimal(3))
_LAST_STEP: Final = Decimal(2)
_NEAR: Final = Decimal("0.1")
_HUNDRED: Final = Decimal(100)
_MOST: Final = Decimal(95)
"""An operating range never reaches down to zero."""

_CASH: Final = frozenset({Exchange.NSE, Exchange.BSE})
_CURRENCIES: Final = frozenset({Exchange.CDS, Exchange.BCD})
_COMMODITIES: Final = frozenset({Exchange.MCX, Exchange.NCO})
_OPTIONS: Final = frozenset({ContractKind.CE.value, ContractKind.PE.value})


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """The lowest and the highest price of the day, in rupees and on the tick; both may trade."""

    lower: Decimal
    upper: Decimal

    def __contains__(self, price: Decimal) -> bool:
        return self.lower <= price <= self.upper


def band_of(instrument: Instrument, quote: Quote) -> Band | None:
    """The band in force at ``quote``; ``None`` where there is none (CRYPTO), or no base price."""
    key, base = instrument.key, quote.previous_close
    if base <= 0 or key.exchange is Exchange.CRYPTO or key.exchange.is_index:
        return None
    if instrument.instrument_type in _OPTIONS and instrument.strike is not None:
        return _of_option(instrument, quote)
    percent, is_fixed = _percent(instrument, quote)
    if is_fixed:
        return _on_grid(instrument, base - base * percent / 100, base + base * percent / 100)
    up = _moved(percent, (quote.high - base) / base * _HUNDRED)
    down = min(_moved(percent, (base - quote.low) / base * _HUNDRED), _MOST)
    return _on_grid(instrument, base - base * down / 100, base + base * up / 100)


def _percent(instrument: Instrument, quote: Quote) -> tuple[Decimal, bool]:
    """Per cent of the base price, and whether the range stays where it is."""
    exchange = instrument.key.exchange
    if exchange in _CASH:
        if instrument.price_band is None:
            return _UNKNOWN_SHARE, False
        return instrument.price_band or _OPERATING_RANGE, instrument.price_band > 0
    if exchange in _CURRENCIES:
        days = (instrument.expiry - quote.at.date()).days if instrument.expiry else 0
        return (_LONG_CURRENCY if days > _LONG_CURRENCY_DAYS else _CURRENCY), True
    if exchange in _COMMODITIES:
        return _COMMODITY, True
    return _OPERATING_RANGE, False


def _of_option(instrument: Instrument, quote: Quote) -> Band:
    percent = _LONG_CURRENCY if instrument.key.exchange in _CURRENCIES else _OPERATING_RANGE
    worth = instrument.strike or Decimal(0)
    if instrument.instrument_type == ContractKind.CE.value:
        worth += quote.previous_close
    step = worth * percent / _HUNDRED
    upper = quote.previous_close + step
    beyond = quote.high - upper
    if step and beyond >= 0:
        upper += step / 2 * (beyond // (step / 2) + 1)
    return _on_grid(instrument, Decimal(0), upper)


def _moved(percent: Decimal, reached: Decimal) -> Decimal:
    """An operating range after the market has gone ``reached`` per cent in its direction."""
    for step in _STEPS:
        if reached < percent - _NEAR:
            return percent
        percent += step
    if reached < percent - _NEAR:
        return percent
    return percent + _LAST_STEP * ((reached - percent + _NEAR) // _LAST_STEP + 1)


def _on_grid(instrument: Instrument, lower: Decimal, upper: Decimal) -> Band:
    tick = instrument.tick_size
    if tick <= 0:
        return Band(lower=lower, upper=upper)
    low = (lower / tick).to_integral_value(ROUND_CEILING) * tick
    high = (upper / tick).to_integral_value(ROUND_FLOOR) * tick
    return Band(lower=max(low, tick).quantize(tick), upper=max(high, tick).quantize(tick))
