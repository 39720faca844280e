"""Strategies of several files and their environments, as the pages ask for them."""

import asyncio
import io
import time
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest

from algohost.domain.strategies import Phase
from algohost.host import bundles, uv
from algohost.host.environment_views import State
from tests.web.conftest import People
from tests.web.world import World
from tests.wheels import offline, write_wheel


def zipped(**files: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_py", ".py"), text)
    return made.getvalue()


PAIRS = zipped(main_py="import helpers\n", helpers_py="A = 1\n", data__notes="\0")


def added(world: World, people: People, content: bytes = PAIRS) -> str:
    browser = world.browser(people.owner)
    answer = browser.upload("/python/upload", content, "pairs.zip", name="Pairs")
    assert answer.status == 200, answer.text
    return str(answer.json()["strategy_id"])


def test_a_zip_is_one_strategy_whose_files_are_shown_and_edited(
    world: World, people: People
) -> None:
    made, browser = added(world, people), world.browser(people.owner)
    found = browser.get(f"/python/source/{made}").json()
    assert (found["source"], found["file_name"]) == ("import helpers\n", "pairs.zip")
    assert found["files"] == [
        {"name": "main.py", "size": 15, "is_text": True},
        {"name": "data/notes", "size": 1, "is_text": False},
        {"name": "helpers.py", "size": 6, "is_text": True},
    ]
    assert (
        browser.ask("GET", f"/python/source/{made}", query="file=helpers.py").json()["source"]
        == "A = 1\n"
    )
    saved = browser.post(f"/python/save/{made}", {"source": "A = (\n", "file": "helpers.py"})
    assert saved.json()["strategy"]["problem"]["file"] == "helpers.py"
    assert "line 1 of helpers.py" in saved.json()["message"]
    start = browser.post(f"/python/start/{made}").json()
    assert start["message"].startswith("Line 1 of helpers.py does not compile")
    browser.post(f"/python/save/{made}", {"source": "A = 2\n", "file": "helpers.py"})
    assert browser.get(f"/python/source/{made}").json()["strategy"]["problem"] is None


@pytest.mark.parametrize(
    "file", ["../main.py", "/etc/passwd", "lib/../main.py", "main.py\n", "..%2fmain.py", "x" * 300]
)
def test_a_file_is_looked_up_by_name_and_never_by_path(
    world: World, people: People, file: str
) -> None:
    """S7."""
    made, browser = added(world, people), world.browser(people.owner)
    answer = browser.ask("GET", f"/python/source/{made}", query=f"file={quote(file)}")
    assert (answer.status, answer.json()["error_code"]) == (404, "NO_FILE")
    if len(file) <= 200:
        saved = browser.post(f"/python/save/{made}", {"source": "x = 1\n", "file": file})
        assert saved.status == 404


def test_a_file_that_is_no_text_is_not_shown(world: World, people: People) -> None:
    made, browser = added(world, people), world.browser(people.owner)
    answer = browser.ask("GET", f"/python/source/{made}", query="file=data/notes")
    assert (answer.status, answer.json()["error_code"]) == (400, "NOT_TEXT")


def test_a_strategy_is_replaced_by_another_zip_or_script(world: World, people: People) -> None:
    made, browser = added(world, people), world.browser(people.owner)
    path = f"/python/replace/{made}"
    answer = browser.upload(path, b"print(1)\n", "one.py")
    assert answer.json()["strategy"]["file_name"] == "one.py"
    assert browser.get(f"/python/source/{made}").json()["source"] == "print(1)\n"
    bad = browser.upload(path, zipped(ema_py="x = 1\n"), "bad.zip")
    assert (bad.status, bad.json()["error_code"]) == (400, "NO_MAIN")
    huge = browser.upload(path, bytes(bundles.MOST_PACKED_BYTES + 70_000), "big.zip")
    assert huge.status == 413
    browser.post(f"/python/start/{made}")
    running = browser.upload(path, b"print(2)\n", "one.py")
    assert (running.status, running.json()["error_code"]) == (409, "STRATEGY_RUNNING")


def test_requirements_are_kept_refused_and_their_owners_alone(
    world: World, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uv, "find", lambda: None)
    made = people.strategy.strategy.id
    path, browser = f"/python/environment/{made}", world.browser(people.owner)
    assert browser.get(path).json()["environment"]["state"] == "built_in"
    bad = browser.post(path, {"requirements": "-r /etc/passwd"})
    assert (bad.status, bad.json()["error_code"]) == (400, "BAD_REQUIREMENTS")
    kept = browser.post(path, {"requirements": "scipy\n"}).json()["environment"]
    assert (kept["state"], kept["asked"]) == ("making", ["openalgo", "scipy"])
    other = world.browser(people.other)
    assert other.get(path).status == 404
    assert other.post(path, {"requirements": ""}).status == 404
    assert other.post(f"{path}/again").status == 404
    deadline = time.monotonic() + 10
    while (found := browser.get(path).json()["environment"])["state"] == "making":
        assert time.monotonic() < deadline
        world.run(asyncio.sleep(0.01))
    assert (found["state"], "uv is not installed here" in found["error"]) == ("failed", True)
    page = browser.page(f"/python/{made}").text
    assert "uv is not installed here" in page
    assert "Make again" in page
    row = browser.post(f"/python/start/{made}").json()["strategy"]
    assert (row["phase"], "could not be made" in row["sentence"]) == ("waiting", True)
    assert browser.post(path, {"requirements": ""}).json()["environment"]["state"] == "built_in"
    world.settle(made)
    assert browser.get("/python/status").json()["strategies"][0]["phase"] == "running"


def test_the_owner_may_look_and_only_an_administrator_may_allow(
    world: World, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bar S17: packages run as the server's user before anything confines them."""
    for name, value in offline(tmp_path).items():
        monkeypatch.setenv(name, value)
    for name in ("scipy", "openalgo"):
        write_wheel(tmp_path / "wheels", name, "1.0")
    strategy = people.strategy.strategy
    path, page = f"/python/environment/{strategy.id}", f"/python/{strategy.id}"
    owner, other, admin = (world.browser(u) for u in (people.owner, people.other, people.admin))
    owner.post(path, {"requirements": "scipy\n"})

    def settled() -> None:
        deadline = time.monotonic() + 30
        while world.environments.view(strategy).state in {State.MAKING, State.NOT_MADE}:
            assert time.monotonic() < deadline
            world.run(asyncio.sleep(0.01))

    settled()
    found = owner.get(path).json()["environment"]
    assert (found["state"], found["packages"]) == (
        "not_allowed",
        [["openalgo", "1.0"], ["scipy", "1.0"]],
    )
    assert found["allowed_by"] is None
    row = owner.post(f"/python/start/{strategy.id}").json()["strategy"]
    assert (row["phase"], "administrator" in row["sentence"]) == (Phase.WAITING.value, True)
    assert "Allow these packages" not in owner.page(page).text
    assert "Allow these packages" in admin.page(page).text
    body = {"key": found["key"]}
    refused = owner.post(f"{path}/allow", body)
    assert (refused.status, refused.json()["error_code"]) == (403, "ADMIN_ONLY")
    assert other.post(f"{path}/allow", body).status == 404
    stale = admin.post(f"{path}/allow", {"key": "0" * 64})
    assert (stale.status, stale.json()["error_code"]) == (409, "PACKAGES_CHANGED")
    assert owner.get(path).json()["environment"]["state"] == "not_allowed"
    assert admin.post(f"{path}/allow", body).status == 200
    settled()
    found = owner.get(path).json()["environment"]
    assert (found["state"], found["allowed_by"]) == ("ready", people.admin.name)
    world.settle(strategy.id)
    assert owner.get("/python/status").json()["strategies"][0]["phase"] == "running"
