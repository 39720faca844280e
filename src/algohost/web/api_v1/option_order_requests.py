"""What clients may send about orders for options, named by their distance from the money."""

from typing import Annotated, Final

from algohost.domain.orders import Product
from algohost.web.api_v1.fields import UnitsOrNone, list_of, word_of
from algohost.web.api_v1.option_requests import (
    AskedOfUnderlying,
    ExpiryOrNone,
    Offset,
    OptionType,
)
from algohost.web.api_v1.order_requests import Terms
from algohost.web.api_v1.requests import AskedOfStrategy

MOST_LEGS: Final = 20
OptionProduct = Annotated[Product, word_of(Product, [Product.MIS, Product.NRML])]


class OptionTerms(Terms):
    """One option by its distance from the money, and how it is traded."""

    offset: Offset
    option_type: OptionType
    expiry_date: ExpiryOrNone = None
    product: OptionProduct = Product.MIS
    splitsize: UnitsOrNone = 0


class OptionsOrder(OptionTerms, AskedOfUnderlying, AskedOfStrategy):
    """An order for one option."""


class OptionsMultiOrder(AskedOfUnderlying, AskedOfStrategy):
    """Orders for several options; a leg's own expiry comes before the one for all."""

    legs: Annotated[list[OptionTerms], list_of(MOST_LEGS)]
