"""S3, promise 8: nothing that is given out of a log shows a secret, wherever its edges are."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from algohost.domain.runs import Run
from algohost.host import logs as logs_module
from algohost.host.inotify import FileWatcher
from algohost.host.log_cover import Cover
from algohost.host.log_search import Query, search
from algohost.host.logs import Logs
from algohost.host.tokens import mint
from tests.host.test_log_scrub import HIDDEN, RUN, SECRET

TOKEN = mint()[0]
LINE = f"2026-11-23 09:15:00 IST filler\nraw {SECRET}\n{SECRET[:9]}\n{SECRET[9:]}\nkey={TOKEN}\n"


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    cover = Cover([SECRET])
    (tmp_path / RUN.log_name).write_text(LINE * 3000)
    watcher = cast("FileWatcher", None)
    return Logs(tmp_path, watcher, cover=lambda _id: cover, secrets_of=lambda _id: (SECRET,))


def read_on(logs: Logs, run: Run, step: int, most: int = 1 << 30) -> str:
    lines: list[str] = []
    at = 0
    while at < most and (chunk := logs.read(run, at, step)).end != at:
        lines, at = lines + chunk.lines, chunk.end
    return "\n".join(lines)


WAYS: dict[str, Callable[[Logs], str]] = {
    "tail": lambda logs: "\n".join(logs.tail(RUN).lines),
    "tail that begins in a secret": lambda logs: "\n".join(logs.tail(RUN, max_bytes=1090).lines),
    "pages": lambda logs: read_on(logs, RUN, 65_536),
    "small pages": lambda logs: read_on(logs, RUN, 97, most=20_000),
    "rest": lambda logs: "\n".join(logs.rest(RUN, 1011).lines),
    "around": lambda logs: "\n".join(logs.around(RUN, 50_007).lines),
    "last lines": lambda logs: "\n".join(logs.last_lines(RUN)),
    "download": lambda logs: b"".join(logs.pieces(RUN)).decode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_look_at_a_log_shows_asterisks(logs: Logs, way: str) -> None:
    shown = WAYS[way](logs)
    assert HIDDEN in shown
    for size in (len(SECRET), 9):
        assert SECRET[:size] not in shown
        assert SECRET[-size:] not in shown
    assert TOKEN[:20] not in shown
    assert TOKEN[-20:] not in shown
    assert "filler" in shown


def test_a_download_is_as_long_as_the_log(
    logs: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its pieces are; of one of these every second edge is inside a secret."""
    raw = (tmp_path / RUN.log_name).read_bytes()
    whole = b"".join(logs.pieces(RUN))
    assert len(whole) == len(raw)
    (tmp_path / RUN.log_name).write_bytes(raw[:20_000])
    for step in (11, 64, 1000):
        monkeypatch.setattr(logs_module, "_CHUNK_BYTES", step)
        shown = b"".join(logs.pieces(RUN))
        assert shown[:19_000] == whole[:19_000]


def test_a_follower_sees_no_half_of_a_secret_either(tmp_path: Path) -> None:
    """It is given whole lines; of one whose end begins a secret, not that."""
    path = tmp_path / RUN.log_name
    path.write_text(f"one {SECRET[:8]}\n")
    cover = Cover([SECRET])

    async def follow() -> list[str]:
        watcher = FileWatcher()
        live = [True]
        logs = Logs(tmp_path, watcher, cover=lambda _id: cover)
        following = logs.follow(RUN, 0, lambda _run: live[0])
        seen = (await anext(following)).lines
        with path.open("a") as file:
            file.write(f"{SECRET[8:]}\ntwo\n")
        live[0] = False
        async for chunk in following:
            seen += chunk.lines
        watcher.close()
        return seen

    rest = "*" * (len(SECRET) - 8)
    assert asyncio.run(follow()) == [f"one {'*' * 8}", rest, "two"]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"text": SECRET}, 0),
        ({"text": SECRET[:9]}, 0),
        ({"text": TOKEN[:12]}, 0),
        ({"text": r"s3cr3t-\w+", "is_expression": True}, 0),
        ({"text": r"raw s\S+", "is_expression": True}, 0),
        ({"text": "raw"}, 20),
        ({"text": "key="}, 20),
        ({"level": "", "since": None, "text": "filler"}, 20),
    ],
)
def test_a_search_neither_shows_a_secret_nor_tells_where_it_is(
    logs: Logs, query: dict[str, object], count: int
) -> None:
    """Else it could be found letter by letter."""
    asked = Query(limit=20, **query)  # type: ignore[arg-type]
    page = asyncio.run(search(logs.folder, [RUN], asked, secrets_of=logs.secrets_of))
    assert len(page.hits) == count
    assert [hit for hit in page.hits if SECRET[:9] in hit.text or TOKEN[:12] in hit.text] == []
    assert all("***" in hit.text for hit in page.hits if hit.text.startswith(("raw", "key")))
