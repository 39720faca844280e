"""What clients may send about orders, positions and margins.

A field that would promise what no order here has (a stop loss of its own, after-market) is
refused rather than ignored: who sends it relies on it.
"""

from decimal import Decimal
from typing import Annotated, Final

from algohost.domain.ids import OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import OrderRequest, PriceType, Product, Validity
from algohost.web.api_v1.fields import (
    ActionWord,
    Amount,
    OrderIdText,
    PriceTypeWord,
    ProductWord,
    SignedUnits,
    Units,
    UnitsOrNone,
    ValidityWord,
    list_of,
    none_but,
)
from algohost.web.api_v1.requests import Asked, AskedOfInstrument, AskedOfStrategy

MOST_ORDERS: Final = 100
"""Orders that one basket may have, and that one order may be split into."""
MOST_POSITIONS: Final = 50
"""Positions whose margin may be asked for in one call."""

_NOTHING: Final = frozenset({"", "0", "0.0", "0.00", "none", "null", "false", "no"})
_NO_BRACKET: Final = none_but(
    _NOTHING,
    "is not part of an order here; place an SL order, or a GTT of type OCO, beside it",
)
NoBracket = Annotated[None, _NO_BRACKET]
NoAfterMarket = Annotated[
    None,
    none_but(
        _NOTHING,
        "must be false or left out: after-market orders are not taken here; place the order while"
        " the market is open, or a GTT",
    ),
]
RegularOnly = Annotated[
    None,
    none_but(
        {"", "none", "regular", "normal"},
        "must be regular or left out: after-market, bracket, cover and iceberg orders are not taken"
        " here",
    ),
]


class Terms(Asked):
    """How something is traded, whatever it is."""

    action: ActionWord
    quantity: Units
    pricetype: PriceTypeWord = PriceType.MARKET
    product: ProductWord = Product.MIS
    price: Amount = Decimal(0)
    trigger_price: Amount = Decimal(0)
    disclosed_quantity: UnitsOrNone = 0
    validity: ValidityWord = Validity.DAY
    target: NoBracket = None
    stoploss: NoBracket = None
    trailing_sl: NoBracket = None
    amo: NoAfterMarket = None
    variety: RegularOnly = None

    def order_for(self, key: InstrumentKey, label: str) -> OrderRequest:
        """The order in the gateway's terms, for that instrument."""
        return OrderRequest(
            key=key,
            action=self.action,
            quantity=self.quantity,
            price_type=self.pricetype,
            product=self.product,
            price=self.price,
            trigger_price=self.trigger_price,
            disclosed_quantity=self.disclosed_quantity,
            validity=self.validity,
            label=label,
        )


class OrderTerms(Terms, AskedOfInstrument):
    """One order, alone or in a list of orders."""

    def labelled(self, label: str) -> OrderRequest:
        """The order in the gateway's terms."""
        return self.order_for(self.key, label)


class PlaceOrder(OrderTerms, AskedOfStrategy):
    """A new order."""

    def order(self) -> OrderRequest:
        """The order in the gateway's terms."""
        return self.labelled(self.strategy)


class PlaceSmartOrder(PlaceOrder):
    """An order towards a target position: ``position_size`` units, below zero when short."""

    quantity: UnitsOrNone
    position_size: SignedUnits


class OneOrder(AskedOfStrategy):
    """A request about one order."""

    orderid: OrderIdText

    @property
    def order_id(self) -> OrderId:
        """The order that was named; it may not exist."""
        return OrderId(self.orderid)


class ModifyOrder(PlaceOrder, OneOrder):
    """New terms for an order that still works."""

    pricetype: PriceTypeWord
    product: ProductWord
    price: Amount


class OpenPosition(AskedOfInstrument, AskedOfStrategy):
    """A request for the net quantity of one instrument under one product."""

    product: ProductWord


class Basket(AskedOfStrategy):
    """Several orders at once."""

    orders: Annotated[list[OrderTerms], list_of(MOST_ORDERS)]


class SplitOrder(PlaceOrder):
    """One order in pieces of ``splitsize`` units, the last with what is left."""

    splitsize: Units


class MarginPosition(OrderTerms):
    """An order whose margin is asked for."""

    product: ProductWord
    pricetype: PriceTypeWord


class Margin(Asked):
    """A request for what a set of orders would block, as if they were placed together."""

    positions: Annotated[list[MarginPosition], list_of(MOST_POSITIONS)]
