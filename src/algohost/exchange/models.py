"""The fill models by the names under which they are chosen."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from algohost.exchange.fills import AT_TOUCH, FillModel
from algohost.exchange.honest import HONEST
from algohost.exchange.next_open import NEXT_OPEN

FILL_MODELS: Final[Mapping[str, FillModel]] = MappingProxyType(
    {model.name: model for model in (HONEST, AT_TOUCH, NEXT_OPEN)}
)
"""``next-open`` is for bars, so for replays; the others are for quotes."""
