"""The shape of each endpoint's success: what clients may rely on, field by field.

Answers are not made from these models, which would cost time at every call; the tests hold every
answer against its shape, and a document of the API is made of them.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """An object of an answer, without any other field."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Answer(Shape):
    """What every success has; ``mode`` on paper only."""

    status: Literal["success"]
    mode: Literal["analyze"] | None = None


class Said(Answer):
    """A success with a sentence."""

    message: str


class OrderNumber(Answer):
    """An order's number."""

    orderid: str


class OrderAnswer(Answer):
    """An order's number; a sentence where nothing was to be done, or nothing is known yet."""

    orderid: str | None = None
    message: str | None = None


class Cancelled(Said):
    """Which orders were cancelled, and why others were not."""

    class Failed(Shape):
        """One that was not cancelled."""

        orderid: str
        reason: str

    canceled_orders: list[str]
    failed_cancellations: list[Failed]


class Closed(Said):
    """The orders that close positions."""

    orderids: list[str] | None = None


class OrderResult(Shape):
    """How one order of several went."""

    status: Literal["success", "error"]
    orderid: str | None = None
    message: str | None = None


class BasketResult(OrderResult):
    """How one order of a basket went."""

    symbol: str


class PieceResult(OrderResult):
    """How one piece of a split order went."""

    order_num: int
    quantity: int


class LegResult(OrderResult):
    """How one leg went; with the pieces where it was split."""

    leg: int
    symbol: str
    offset: str
    option_type: Literal["CE", "PE"]
    action: Literal["BUY", "SELL"]
    total_quantity: int | None = None
    split_size: int | None = None
    split_results: list[PieceResult] | None = None


class BasketAnswer(Answer):
    """A result for each order, in the order of placing; how many where not all were placed."""

    results: list[BasketResult]
    message: str | None = None


class SplitAnswer(Answer):
    """A result for each piece."""

    split_size: int
    total_quantity: int
    results: list[PieceResult]
    message: str | None = None


class OptionsAnswer(OrderAnswer):
    """The option that was ordered; with the pieces where it was split."""

    symbol: str
    exchange: str
    underlying: str
    underlying_ltp: float
    offset: str
    option_type: Literal["CE", "PE"]
    split_size: int | None = None
    total_quantity: int | None = None
    results: list[PieceResult] | None = None


class LegsAnswer(Answer):
    """A result for each leg, in the order of the legs."""

    underlying: str
    underlying_ltp: float
    results: list[LegResult]
    message: str | None = None


class OrderRow(Shape):
    """An order as it stands."""

    action: Literal["BUY", "SELL"]
    average_price: float
    exchange: str
    order_status: Literal["open", "trigger pending", "complete", "rejected", "cancelled", "unknown"]
    orderid: str
    price: float
    pricetype: Literal["MARKET", "LIMIT", "SL", "SL-M"]
    product: Literal["MIS", "NRML", "CNC"]
    quantity: int
    symbol: str
    timestamp: str
    trigger_price: float
    rejection_reason: str | None = None


class OrderStatusAnswer(Answer):
    """One order."""

    data: OrderRow


class OpenPositionAnswer(Answer):
    """Units held; below zero is short."""

    quantity: int


class OrderBookAnswer(Answer):
    """Orders, and how many of each sort."""

    class Data(Shape):
        """The book."""

        class Statistics(Shape):
            """The counts."""

            total_buy_orders: int
            total_sell_orders: int
            total_completed_orders: int
            total_open_orders: int
            total_rejected_orders: int

        orders: list[OrderRow]
        statistics: Statistics

    data: Data


class TradeBookAnswer(Answer):
    """Fills."""

    class Row(Shape):
        """One fill."""

        action: Literal["BUY", "SELL"]
        symbol: str
        exchange: str
        orderid: str
        product: Literal["MIS", "NRML", "CNC"]
        quantity: int
        average_price: float
        timestamp: str
        trade_value: float

    data: list[Row]


class PositionRow(Shape):
    """One position."""

    symbol: str
    exchange: str
    product: Literal["MIS", "NRML", "CNC"]
    quantity: int
    average_price: float
    ltp: float
    pnl: float


class PositionBookAnswer(Answer):
    """Positions."""

    data: list[PositionRow]


class HoldingsAnswer(Answer):
    """Shares that were delivered."""

    class Data(Shape):
        """Rows and sums."""

        class Row(PositionRow):
            """One holding."""

            pnlpercent: float

        class Statistics(Shape):
            """Sums in rupees, and a percentage."""

            totalholdingvalue: float
            totalinvvalue: float
            totalprofitandloss: float
            totalpnlpercentage: float

        holdings: list[Row]
        statistics: Statistics

    data: Data


class FundsAnswer(Answer):
    """The account's money."""

    class Data(Shape):
        """In rupees."""

        availablecash: float
        collateral: float
        m2mrealized: float
        m2munrealized: float
        utiliseddebits: float

    data: Data


class MarginAnswer(Answer):
    """What orders would block."""

    class Data(Shape):
        """In rupees."""

        total_margin_required: float
        span_margin: float
        exposure_margin: float

    data: Data


class PnlSymbolsAnswer(Answer):
    """P&L by instrument and product, and its sums."""

    class Row(Shape):
        """One instrument under one product."""

        symbol: str
        exchange: str
        product: Literal["MIS", "NRML", "CNC"]
        quantity: int
        pnl: float
        unrealized_pnl: float
        today_realized_pnl: float
        total_pnl_today: float

    data: list[Row]
    total_pnl: float
    total_unrealized_pnl: float
    total_today_realized_pnl: float
    total_pnl_today: float


class AnalyzerAnswer(Answer):
    """The mode; after a toggle with a sentence."""

    class Data(Shape):
        """The mode."""

        analyze_mode: bool
        mode: Literal["analyze", "live"]
        total_logs: int
        message: str | None = None

    data: Data


class PingAnswer(Answer):
    """That the key is good."""

    class Data(Shape):
        """The reply."""

        message: Literal["pong"]
        broker: str

    data: Data


class NotifyAnswer(Said):
    """To how many targets a message is on its way."""

    queued: int


class TriggerAnswer(Answer):
    """A GTT's number."""

    trigger_id: str


class GttBookAnswer(Answer):
    """GTTs."""

    class Row(Shape):
        """One GTT."""

        class Leg(Shape):
            """The order that a trigger places."""

            action: Literal["BUY", "SELL"]
            quantity: int
            price: float
            pricetype: Literal["LIMIT", "MARKET"]
            product: Literal["CNC", "NRML"]

        trigger_id: str
        trigger_type: Literal["single", "two-leg"]
        status: Literal["active", "triggered", "cancelled", "expired"]
        symbol: str
        exchange: str
        trigger_prices: list[float]
        last_price: float
        legs: list[Leg]
        created_at: str
        updated_at: str
        expires_at: str
        orderid: str | None = None
        reason: str | None = None

    data: list[Row]
