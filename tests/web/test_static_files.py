"""Browser assets from memory: kept for good where their name changes with their content."""

from pathlib import Path

import pytest

from algohost.web.app import app_of
from algohost.web.static_files import StaticFiles
from tests.web.asgi import Browser
from tests.web.world import World

SHEET = b"body { color: green }\n" * 100


@pytest.fixture
def browser(world: World, tmp_path: Path) -> Browser:
    """A server whose assets are these."""
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "app-1f21a637.css").write_bytes(SHEET)
    (folder / "inter-0a1b2c3d.woff2").write_bytes(b"\x00" * 5_000)
    (folder / "manifest.json").write_bytes(b"{}")
    (folder / ".stamp").write_bytes(b"secret")
    (folder / "notes.exe").write_bytes(b"MZ")
    (tmp_path / "outside.css").write_bytes(b"outside")
    return world.browser(app=app_of(StaticFiles(folder).routes, world.host))


def test_a_file_named_by_its_content_is_kept_for_good(browser: Browser) -> None:
    answer = browser.get("/static/app-1f21a637.css")
    assert (answer.status, answer.body) == (200, SHEET)
    assert answer.header("cache-control") == "public, max-age=31536000, immutable"
    assert answer.header("content-type") == "text/css; charset=utf-8"
    assert answer.header("content-security-policy") is not None


def test_other_files_are_asked_for_again_by_their_tag(browser: Browser) -> None:
    first = browser.get("/static/manifest.json")
    assert first.header("cache-control") == "no-cache"
    again = browser.get("/static/manifest.json", if_none_match=first.header("etag") or "")
    assert (again.status, again.body) == (304, b"")


def test_text_is_packed_and_fonts_are_not(browser: Browser) -> None:
    sheet = browser.get("/static/app-1f21a637.css", accept_encoding="gzip")
    assert sheet.text.encode() == SHEET
    assert len(sheet.body) < len(SHEET)
    font = browser.get("/static/inter-0a1b2c3d.woff2", accept_encoding="gzip")
    assert font.header("content-encoding") is None
    assert font.header("content-type") == "font/woff2"


@pytest.mark.parametrize(
    "name", ["../outside.css", "..%2foutside.css", "/etc/passwd", ".stamp", "notes.exe", "", "x"]
)
def test_nothing_else_is_there(browser: Browser, name: str) -> None:
    assert browser.get(f"/static/{name}").status == 404


def test_a_checkout_without_built_assets_says_how_to_build_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    StaticFiles(tmp_path / "missing")
    assert "build them with: python hatch_build.py" in caplog.text
