"""What clients may send about GTTs; how fields fit together is checked where a GTT is made."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from algohost.domain.gtt import GttKind
from algohost.domain.orders import PriceType, Product
from algohost.web.api_v1.field_schemas import AMOUNT, or_nothing, taken, words
from algohost.web.api_v1.fields import (
    ActionWord,
    Amount,
    OrderIdText,
    Units,
    refuse,
    word_of,
)
from algohost.web.api_v1.requests import Asked, AskedOfInstrument, AskedOfStrategy


def _kind(value: object) -> GttKind:
    if isinstance(value, str) and value.upper() in set(GttKind):
        return GttKind(value.upper())
    raise refuse("must be SINGLE or OCO")


def _product(value: object) -> Product:
    if isinstance(value, str) and value in {"CNC", "NRML"}:
        return Product(value)
    raise refuse("must be CNC or NRML: a GTT waits for days, and MIS ends with its day")


def _none_as_zero(value: object) -> object:
    return 0 if value is None or value == "" else value


AmountOrNothing = Annotated[Amount, taken(_none_as_zero, or_nothing(AMOUNT))]
"""``null`` and an empty text are 0."""


class PlaceGtt(AskedOfInstrument, AskedOfStrategy):
    """A new GTT, SINGLE or OCO."""

    trigger_type: Annotated[GttKind, taken(_kind, words(["SINGLE", "OCO", "single", "oco"]))]
    action: ActionWord
    product: Annotated[Product, taken(_product, words(["CNC", "NRML"]))]
    quantity: Units
    pricetype: Annotated[PriceType, word_of(PriceType, [PriceType.LIMIT, PriceType.MARKET])] = (
        PriceType.LIMIT
    )
    price: AmountOrNothing = Decimal(0)
    triggerprice_sl: AmountOrNothing = Decimal(0)
    triggerprice_tg: AmountOrNothing = Decimal(0)
    stoploss: AmountOrNothing = Decimal(0)
    target: AmountOrNothing = Decimal(0)


class ModifyGtt(PlaceGtt):
    """All terms of a GTT anew."""

    trigger_id: OrderIdText


class CancelGtt(AskedOfStrategy):
    """A request about one GTT."""

    trigger_id: OrderIdText


class GttShown(StrEnum):
    """Which GTTs are listed."""

    ACTIVE = "active"
    ALL = "all"


class GttBook(Asked):
    """A request for GTTs."""

    status: Annotated[GttShown, word_of(GttShown)] = GttShown.ACTIVE
