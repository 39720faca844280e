"""What the build made: every name that pages use, small enough, and asking nobody else."""

import gzip
import json
import re
from pathlib import Path

import pytest

from algohost.web.assets import Assets
from algohost.web.static_files import FOLDER
from tests.web_assets.node import ROOT

TEMPLATES = ROOT / "src/algohost/web/templates"


@pytest.fixture(scope="module")
def manifest() -> dict[str, str]:
    """The names of the last build; ``python hatch_build.py`` makes one."""
    names: dict[str, str] = json.loads((FOLDER / "manifest.json").read_text())
    return names


def test_every_asset_that_a_template_names_was_built(manifest: dict[str, str]) -> None:
    named = {
        name
        for path in TEMPLATES.glob("*.html")
        for name in re.findall(r"asset\('([^']+)'\)", path.read_text())
    }
    assert named
    assert {name for name in named if not (FOLDER / manifest[name]).is_file()} == set()


def test_every_icon_that_is_used_is_in_the_sprite(manifest: dict[str, str]) -> None:
    sprite = (FOLDER / manifest["icons.svg"]).read_text()
    there = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    pages = " ".join(path.read_text() for path in TEMPLATES.glob("*.html"))
    used = set(re.findall(r'ui\.icon\("([^"]+)"', pages))
    for path in (ROOT / "web/src").glob("*.ts"):
        text = path.read_text()
        used |= set(re.findall(r'\bicon\("([a-z0-9-]+)"\)', text))
        used |= set(re.findall(r'\bicon: "([a-z0-9-]+)"', text))
    assert used - there == set()


def test_the_list_page_is_small(manifest: dict[str, str]) -> None:
    """The editor, by far the largest part, is loaded by the code tab alone."""
    shell = ["app.css", "app.js", "theme.js", "icons.svg"]
    packed = sum(len(gzip.compress((FOLDER / manifest[name]).read_bytes())) for name in shell)
    assert packed < 40_000


def test_the_style_sheet_asks_for_nothing_elsewhere(manifest: dict[str, str]) -> None:
    sheet = (FOLDER / manifest["app.css"]).read_text()
    addresses = set(re.findall(r"url\(([^)]+)\)", sheet))
    foreign = {a for a in addresses if not a.strip("\"'").startswith(("inter", "data:"))}
    assert foreign == set()
    for font in ("inter.woff2", "inter-rupee.woff2"):
        assert manifest[font] in sheet


def test_a_server_without_built_assets_still_gives_addresses(tmp_path: Path) -> None:
    assert Assets(tmp_path).url("app.css") == "/static/app.css"


def test_a_name_that_the_build_does_not_make_is_an_error(manifest: dict[str, str]) -> None:
    assert manifest
    with pytest.raises(KeyError):
        Assets().url("nothing.css")
