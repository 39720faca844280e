"""Companies that do not exist: they give the list the length that an exchange's has."""

from collections.abc import Iterator
from typing import Final

_PLACES: Final = (
    "Ajantek", "Brindavat", "Chandragir", "Dharavati", "Ekambaram", "Falgunika", "Girivana",
    "Haritmala", "Indravalli", "Jaladhija", "Kaverimba", "Lakshadhan", "Manasvini", "Nilachali",
    "Omkarnadi", "Palashika", "Quilonika", "Rudragiri", "Sahyagiri", "Tungabhad", "Udayavan",
    "Vindhyaka", "Wainganga", "Yamunoti", "Zanskarik", "Arunvel", "Bhairavik", "Chitravan",
    "Devagiri", "Garhvana", "Himavarsh", "Jharnadi", "Konarkik", "Malhargiri", "Nandivana",
    "Panchadri", "Ratnavan", "Satpurik", "Tapovana", "Vaigaika",
)  # fmt: skip
_TRADES: Final = (
    ("TEX", "Textiles"), ("CHEM", "Chemicals"), ("STL", "Steels"), ("CEM", "Cements"),
    ("PHR", "Pharmaceuticals"), ("FIN", "Finance"), ("SUG", "Sugars"), ("PAP", "Papers"),
    ("TYR", "Tyres"), ("INF", "Infrastructure"), ("RLT", "Realty"), ("AGR", "Agro"),
    ("FOOD", "Foods"), ("AUT", "Auto Components"), ("ENG", "Engineering"), ("ELC", "Electricals"),
    ("SOFT", "Software"), ("LOG", "Logistics"), ("HOT", "Hotels"), ("MED", "Healthcare"),
    ("JWL", "Jewellers"), ("PLS", "Plastics"), ("GLS", "Glass"), ("CBL", "Cables"),
    ("PWR", "Power"), ("FER", "Fertilisers"), ("SHP", "Shipping"), ("EDU", "Education"),
    ("RTL", "Retail"), ("PNT", "Paints"),
)  # fmt: skip
_LETTERS: Final = 6


def companies() -> Iterator[tuple[str, str]]:
    """Symbol and name of each, always the same; the name says that there is no such company."""
    for place in _PLACES:
        for short, trade in _TRADES:
            yield place[:_LETTERS].upper() + short, f"{place} {trade} (made up)"
