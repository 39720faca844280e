"""The shape of each endpoint's refusal: the envelope, and what some add to it."""

from collections.abc import Mapping
from typing import Final, Literal

from algohost.web.api_v1.shapes import BasketResult, LegResult, PieceResult, Shape


class Refusal(Shape):
    """What every failure has; a request id where the fault is the server's."""

    status: Literal["error"]
    message: str
    request_id: str | None = None


class OrderRefusal(Refusal):
    """With the number of an order that was taken and then rejected."""

    mode: Literal["analyze"] | None = None
    orderid: str | None = None


class ClosingRefusal(Refusal):
    """With the orders that were to close positions."""

    mode: Literal["analyze"] | None = None
    orderids: list[str] | None = None


class BasketRefusal(Refusal):
    """With a result for each order, where none was placed."""

    mode: Literal["analyze"] | None = None
    results: list[BasketResult] | None = None


class SplitRefusal(Refusal):
    """With a result for each piece, where none was placed."""

    mode: Literal["analyze"] | None = None
    split_size: int | None = None
    total_quantity: int | None = None
    results: list[PieceResult] | None = None


class OptionsRefusal(SplitRefusal):
    """With the option that was to be ordered, where it was found."""

    orderid: str | None = None
    symbol: str | None = None
    exchange: str | None = None
    underlying: str | None = None
    underlying_ltp: float | None = None
    offset: str | None = None
    option_type: Literal["CE", "PE"] | None = None


class LegsRefusal(Refusal):
    """With a result for each leg, where none was placed."""

    mode: Literal["analyze"] | None = None
    underlying: str | None = None
    underlying_ltp: float | None = None
    results: list[LegResult] | None = None


_OF: Final[Mapping[str, type[Refusal]]] = {
    "placeorder": OrderRefusal,
    "placesmartorder": OrderRefusal,
    "closeposition": ClosingRefusal,
    "basketorder": BasketRefusal,
    "splitorder": SplitRefusal,
    "optionsorder": OptionsRefusal,
    "optionsmultiorder": LegsRefusal,
}


def refusal_of(name: str) -> type[Refusal]:
    """How the endpoint of that name refuses, whatever the status."""
    return _OF.get(name, Refusal)
