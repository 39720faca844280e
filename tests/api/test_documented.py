"""The page of the API names every endpoint, and no other."""

import re
from pathlib import Path

from algohost.web.api_v1 import ENDPOINTS

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")


def test_every_endpoint_has_its_line_and_no_line_is_of_none() -> None:
    cells = re.findall(r"^\| (`[^|]+`) \|", PAGE, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert sorted(named) == sorted(ENDPOINTS)
