"""The shape of each success of the market's endpoints: prices, instruments, options, calendars."""

from typing import Literal

from algohost.web.api_v1.shapes import Answer, Said, Shape


class QuoteRow(Shape):
    """The last price and the day's; in rupees, volume and open interest in units."""

    open: float
    high: float
    low: float
    ltp: float
    ask: float
    bid: float
    prev_close: float
    volume: int
    oi: int


class QuoteAnswer(Answer):
    """A quote."""

    data: QuoteRow


class QuotesAnswer(Answer):
    """A quote for each instrument, or why there is none."""

    class Result(Shape):
        """Either ``data`` or ``error``."""

        symbol: str
        exchange: str
        data: QuoteRow | None = None
        error: str | None = None

    results: list[Result]


class DepthAnswer(Answer):
    """Five levels a side, best first."""

    class Data(QuoteRow):
        """A quote with its levels."""

        class Level(Shape):
            """One price of a side."""

            price: float
            quantity: int

        ltq: int
        totalbuyqty: int
        totalsellqty: int
        asks: list[Level]
        bids: list[Level]

    data: Data


class HistoryAnswer(Answer):
    """Bars, the oldest first."""

    class Bar(Shape):
        """``timestamp`` in epoch seconds; of days and longer bars, the date's midnight in UTC."""

        timestamp: int
        open: float
        high: float
        low: float
        close: float
        volume: int
        oi: int

    data: list[Bar]


class IntervalsAnswer(Answer):
    """What ``history`` answers."""

    class Data(Shape):
        """By unit."""

        seconds: list[str]
        minutes: list[str]
        hours: list[str]
        days: list[str]
        weeks: list[str]
        months: list[str]

    data: Data


class InstrumentRow(Shape):
    """One row of the master contract."""

    symbol: str
    brsymbol: str
    name: str
    exchange: str
    brexchange: str
    token: str
    expiry: str
    strike: float
    lotsize: int
    instrumenttype: str
    tick_size: float
    freeze_qty: int
    has_prices: bool


class SymbolAnswer(Answer):
    """One instrument."""

    data: InstrumentRow


class InstrumentsAnswer(Said):
    """Instruments."""

    data: list[InstrumentRow]


class ExpiryAnswer(Said):
    """Days such as ``28-OCT-25``, in order."""

    data: list[str]


class OptionSymbolAnswer(Answer):
    """The option so many strikes from the money."""

    symbol: str
    exchange: str
    lotsize: int
    tick_size: float
    freeze_qty: int
    underlying_ltp: float


class ChainAnswer(Answer):
    """The strikes around the money, the lowest first."""

    class Strike(Shape):
        """Both options; ``null`` for one that is not listed or has no price."""

        class Option(QuoteRow):
            """One option; ``label`` is its distance from the money."""

            symbol: str
            label: str
            lotsize: int
            tick_size: float

        strike: float
        ce: Option | None
        pe: Option | None

    underlying: str
    underlying_ltp: float
    expiry_date: str
    atm_strike: float
    chain: list[Strike]


class Sensitivities(Shape):
    """Of an option's price; theta a calendar day, vega and rho a percentage point."""

    delta: float
    gamma: float
    theta: float
    vega: float
    rho: float


class Greeks(Shape):
    """An option and what its price says; volatility and rate in percent a year."""

    symbol: str
    exchange: str
    underlying: str
    strike: float
    option_type: Literal["CE", "PE"]
    expiry_date: str
    days_to_expiry: float
    spot_price: float
    option_price: float
    interest_rate: float
    implied_volatility: float
    greeks: Sensitivities
    note: str | None = None


class GreeksAnswer(Greeks, Answer):
    """The greeks of one option."""


class ManyGreeksAnswer(Answer):
    """The greeks of each option, or why there are none."""

    class Row(Greeks):
        """One option's."""

        status: Literal["success"]

    class Failed(Shape):
        """One that has none."""

        status: Literal["error"]
        symbol: str
        exchange: str
        message: str

    class Summary(Shape):
        """The counts."""

        total: int
        success: int
        failed: int

    data: list[Row | Failed]
    summary: Summary


class SyntheticAnswer(Answer):
    """The future that a call and a put make."""

    underlying: str
    underlying_ltp: float
    expiry: str
    atm_strike: float
    synthetic_future_price: float


class Span(Shape):
    """A session of an exchange, in epoch milliseconds."""

    exchange: str
    start_time: int
    end_time: int


class HolidaysAnswer(Answer):
    """The days of a year that differ."""

    class Row(Shape):
        """One day; ``tentative`` where no exchange has published it."""

        date: str
        description: str
        holiday_type: Literal["TRADING_HOLIDAY", "SPECIAL_SESSION", "SETTLEMENT_HOLIDAY"]
        closed_exchanges: list[str]
        open_exchanges: list[Span]
        tentative: bool

    year: int
    timezone: str
    data: list[Row]
    warnings: list[str]


class TimingsAnswer(Answer):
    """The sessions of a date; empty where all are closed."""

    data: list[Span]
    warnings: list[str]


class BooksAnswer(Answer):
    """What each book has gained since the account began, in rupees as text."""

    class Data(Shape):
        """The books and their sums."""

        class Book(Shape):
            """A strategy's book; ``strategy_id`` is ``null`` for what belongs to none."""

            class Totals(Shape):
                """Shares from 0 to 1, ``null`` where there is nothing to divide by."""

                realised: str
                charges: str
                net: str
                turnover: str
                fills: int
                round_trips: int
                wins: int
                win_rate: float | None
                profit_factor: float | None
                drawdown: str

            strategy_id: str | None
            totals: Totals
            today: str

        account_id: str
        books: list[Book]
        realised: str
        charges: str

    data: Data
