"""Messages to people: kept before they are sent, tried again, recorded, and never with an address.

Promise 3 and 8; bars S21 (what a message may connect to) and S23 (secrets in what is shown).
"""

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from algohost.domain.errors import AlgohostError, Conflict, Invalid, NotFound, TooMany
from algohost.domain.ids import UserId
from algohost.domain.notices import (
    MOST_TARGETS,
    MOST_WAITING,
    RETRY_AFTER,
    Letter,
    NoticeState,
)
from algohost.domain.users import User
from algohost.host import notice_post
from algohost.host.notice_courier import AppriseCourier
from algohost.host.notices import Notices
from algohost.host.variables import rotate_keys
from algohost.store import audit, sealed
from algohost.store.database import Database, open_database
from algohost.store.notices import KEPT_ENDED
from algohost.store.users import StoredUser, insert_user
from algohost.store.vault import Vault
from algohost.testing.clock import FakeClock
from algohost.testing.courier import FakeCourier

CANARY = "canary-5e0d-in-the-mine"
URL = f"fake://{CANARY}@somewhere"


class Desk:
    """One service over a real database, two users, and a courier that is told what to do."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.courier = FakeClock(), FakeCourier()
        self.database: Database = open_database(folder / "a.db")
        self.vault = Vault(folder / "keys", has_sealed=lambda: self.database.read(sealed.anything))
        self.asha, self.ravi = self._user("asha"), self._user("ravi")
        self.notices = self.restarted()

    def _user(self, name: str) -> User:
        user = User(id=UserId(f"id-{name}"), name=name, is_admin=False, created_at=self.clock.now())
        stored = StoredUser(user=user, password_hash="hash")
        self.database.write_now(lambda c: insert_user(c, stored))
        return user

    def restarted(self) -> Notices:
        """The service as a server that starts now makes it."""
        self.notices = Notices(
            clock=self.clock, database=self.database, vault=self.vault, courier=self.courier
        )
        return self.notices

    def states(self, user: User | None = None) -> list[tuple[str, int]]:
        """State and tries of each message, newest first."""
        return [(one.state.value, one.tries) for one in self.notices.latest(user or self.asha)]

    async def later(self, seconds: float) -> None:
        """Lets time pass and the background look once."""
        self.clock.advance(seconds)
        await self.notices.step()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.database.close()


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    asyncio.run(main())


def refused(kind: type[AlgohostError], part: str) -> Any:
    return pytest.raises(kind, match=part)


def test_who_added_and_removed_a_target_is_in_the_audit_without_its_address(desk: Desk) -> None:
    async def scenario() -> None:
        await desk.notices.add(desk.asha, "phone", URL)
        await desk.notices.remove(desk.asha, "phone")
        with pytest.raises(NotFound):
            await desk.notices.remove(desk.asha, "phone")
        links = desk.database.read(audit.page)
        assert [(one.entry.act, one.entry.by, one.entry.detail["name"]) for one in links] == [
            ("notice_target_added", "user:asha", "phone"),
            ("notice_target_removed", "user:asha", "phone"),
        ]
        assert CANARY not in str(links)

    play(scenario)


def test_a_message_goes_to_every_target_of_its_user_and_to_no_other(desk: Desk) -> None:
    async def scenario() -> None:
        await desk.notices.add(desk.asha, "phone", URL)
        await desk.notices.add(desk.asha, "mail", "fake://mail")
        await desk.notices.add(desk.ravi, "phone", "fake://ravi")
        assert await desk.notices.send(desk.asha.id, "ema", "Bought.", 7) == 2
        assert desk.states() == [("waiting", 0)] * 2
        await desk.notices.step()
        assert desk.courier.letters == [
            Letter(url="fake://mail", title="ema", body="Bought.", priority=7),
            Letter(url=URL, title="ema", body="Bought.", priority=7),
        ]
        assert desk.states() == [("sent", 1)] * 2
        assert desk.states(desk.ravi) == []
        assert {one.body for one in desk.notices.latest(desk.asha)} == {""}

    play(scenario)


def test_without_a_target_the_sentence_says_what_to_do(desk: Desk) -> None:
    async def scenario() -> None:
        with refused(Conflict, "add a notification target with 'algohost notify add'"):
            await desk.notices.send(desk.asha.id, "ema", "Bought.")
        with refused(Conflict, "add a notification target"):
            await desk.notices.test(desk.asha)

    play(scenario)


def test_a_failed_try_is_repeated_after_ten_seconds_a_minute_and_five(desk: Desk) -> None:
    async def scenario() -> None:
        await desk.notices.add(desk.asha, "phone", URL)
        desk.courier.reason = "The service is down."
        await desk.notices.send(desk.asha.id, "ema", "Bought.")
        await desk.notices.step()
        for tries, wait in enumerate(RETRY_AFTER, start=1):
            assert desk.states() == [("waiting", tries)]
            await desk.later(wait.total_seconds() - 1)
            assert desk.states() == [("waiting", tries)], "before its time"
            await desk.later(1)
        assert desk.states() == [("failed", 4)]
        (ended,) = desk.notices.latest(desk.asha)
        assert (ended.reason, ended.body) == ("The service is down.", "")
        await desk.later(3600)
        assert len(desk.courier.letters) == 4

    play(scenario)


def test_one_targets_trouble_does_not_repeat_the_message_at_another(desk: Desk) -> None:
    async def scenario() -> None:
        await desk.notices.add(desk.asha, "phone", URL)
        desk.courier.reason = "Down."
        await desk.notices.send(desk.asha.id, "ema", "first")
        await desk.notices.step()
        await desk.notices.add(desk.asha, "mail", "fake://mail")
        desk.courier.reason = ""
        await desk.later(10)
        assert [one.url for one in desk.courier.letters] == [URL, URL]

    play(scenario)


def test_what_waits_survives_the_server_and_what_waited_too_long_is_not_sent(desk: Desk) -> None:
    async def scenario() -> None:
        await desk.notices.add(desk.asha, "phone", URL)
        await desk.notices.send(desk.asha.id, "ema", "kept")
        await desk.restarted().step()
        assert [one.body for one in desk.courier.letters] == ["kept"]
        await desk.notices.send(desk.asha.id, "ema", "old")
        desk.clock.advance(timedelta(hours=1, seconds=1).total_seconds())
        await desk.restarted().step()
        assert [one.body for one in desk.courier.letters] == ["kept"]
        newest = desk.notices.latest(desk.asha)[0]
        assert (newest.state, newest.reason) == (
            NoticeState.FAILED,
            "It could not be delivered within an hour.",
        )

    play(scenario)


def test_too_many_waiting_messages_are_refused_and_another_user_is_not_held_up(desk: Desk) -> None:
    async def scenario() -> None:
        await desk.notices.add(desk.asha, "phone", URL)
        await desk.notices.add(desk.ravi, "phone", "fake://ravi")
        for number in range(MOST_WAITING):
            await desk.notices.send(desk.asha.id, "ema", str(number))
        with refused(TooMany, "200 messages wait to be delivered already"):
            await desk.notices.send(desk.asha.id, "ema", "one more")
        assert await desk.notices.send(desk.ravi.id, "rsi", "mine") == 1

    play(scenario)


def test_no_more_ended_messages_are_kept_than_said(desk: Desk) -> None:
    async def scenario() -> None:
        await desk.notices.add(desk.asha, "phone", URL)
        for _ in range(2):
            for number in range(KEPT_ENDED - 50):
                await desk.notices.send(desk.asha.id, "ema", str(number))
            for _ in range(20):
                await desk.later(1)
        count = desk.database.read(
            lambda c: c.exec_driver_sql("SELECT count(*), max(length(body)) FROM notices").one()
        )
        assert tuple(count) == (KEPT_ENDED, 0)

    play(scenario)


def test_a_removed_target_gets_nothing_more(desk: Desk) -> None:
    async def scenario() -> None:
        await desk.notices.add(desk.asha, "phone", URL)
        await desk.notices.send(desk.asha.id, "ema", "Bought.")
        with refused(NotFound, "no notification target of that name"):
            await desk.notices.remove(desk.ravi, "phone")
        await desk.notices.remove(desk.asha, "phone")
        await desk.notices.step()
        assert desk.courier.letters == []
        assert desk.notices.latest(desk.asha)[0].reason == "Its target was removed."

    play(scenario)


BAD: list[tuple[str, str, type[AlgohostError], str]] = [
    ("phone", "", Invalid, "none of apprise's"),
    ("phone", "somewhere", Invalid, "none of apprise's"),
    ("phone", "fake://a\nb", Invalid, "none of apprise's"),
    ("phone", "fake://" + "x" * 2_000, Invalid, "none of apprise's"),
    ("phone", "gnome://", Invalid, "server's own desktop"),
    ("phone", "SYSLOG://localhost", Invalid, "system log"),
    ("phone", "other://somewhere", Invalid, "not one of fake"),
    ("", URL, Invalid, "a name of 1 to 60"),
    ("x" * 61, URL, Invalid, "a name of 1 to 60"),
    ("Taken", URL, Conflict, "is called Taken already"),
]


@pytest.mark.parametrize(("name", "url", "kind", "part"), BAD)
def test_what_is_no_target_is_refused_and_its_address_not_repeated(
    desk: Desk, name: str, url: str, kind: type[AlgohostError], part: str
) -> None:
    async def scenario() -> None:
        await desk.notices.add(desk.asha, "taken", URL)
        with pytest.raises(kind, match=part) as refusal:
            await desk.notices.add(desk.asha, name, url)
        assert CANARY not in refusal.value.message
        assert len(desk.notices.targets(desk.asha)) == 1

    play(scenario)


def test_a_user_has_at_most_ten_targets(desk: Desk) -> None:
    async def scenario() -> None:
        for number in range(MOST_TARGETS):
            await desk.notices.add(desk.asha, str(number), URL)
        with refused(Conflict, "10 notification targets already"):
            await desk.notices.add(desk.asha, "one more", URL)

    play(scenario)


def test_an_address_is_in_no_file_no_log_and_nothing_shown(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        with caplog.at_level(logging.DEBUG):
            await desk.notices.add(desk.asha, "phone", URL)
            desk.courier.reason = "Down."
            await desk.notices.send(desk.asha.id, "ema", "Bought.")
            for _ in range(5):
                await desk.later(400)
            shown = repr((desk.notices.targets(desk.asha), desk.notices.latest(desk.asha)))
        assert CANARY not in caplog.text + shown
        for path in tmp_path.rglob("*"):
            assert not path.is_file() or CANARY.encode() not in path.read_bytes()

    play(scenario)


def test_new_keys_open_the_addresses_and_a_lost_key_says_so(desk: Desk) -> None:
    async def scenario() -> None:
        await desk.notices.add(desk.asha, "phone", URL)
        before = desk.vault.path.read_text()
        assert await rotate_keys(desk.database, desk.vault, at=desk.clock.now()) == 1
        assert desk.database.read(audit.page)[-1].entry.act == "keys_rotated"
        assert desk.vault.path.read_text() != before
        assert await desk.notices.test(desk.asha) == [("phone", "")]
        assert desk.courier.letters[-1].url == URL
        desk.vault.path.unlink()
        fresh = Vault(desk.vault.path.parent, has_sealed=lambda: True)
        lost = Notices(clock=desk.clock, database=desk.database, vault=fresh, courier=desk.courier)
        await lost.send(desk.asha.id, "ema", "Bought.")
        await lost.step()
        assert "key file" in desk.notices.latest(desk.asha)[0].reason

    play(scenario)


# ---- through apprise, to a listener of our own


class Listener(BaseHTTPRequestHandler):
    """Keeps what is sent to it; answers as its path says."""

    heard: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.heard.append((self.path, json.loads(body)))
        status = {"/gone": 404, "/moved": 302}.get(self.path, 200)
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


@pytest.fixture
def listener() -> Iterator[str]:
    Listener.heard.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def letter(address: str, priority: int = 5) -> Letter:
    return Letter(url=f"json://{address}", title="ema", body="Bought\n10.", priority=priority)


def test_apprise_delivers_to_a_service_and_its_refusals_are_told_by_number(listener: str) -> None:
    async def scenario() -> None:
        courier = AppriseCourier(private=True)
        assert await courier.look_at(f"json://user:{CANARY}@{listener}") == "JSON"
        letters = [
            letter(f"{listener}/ok", 10),
            letter(f"{listener}/gone"),
            letter(f"{listener}/moved"),
            letter("127.0.0.1:1"),
        ]
        told = [one.reason for one in await courier.deliver(letters)]
        assert told == [
            "",
            f"{notice_post.NO_ANSWER} It answered with 404.",
            f"{notice_post.NO_ANSWER} It answered with 302.",
            notice_post.NO_ANSWER,
        ]

    play(scenario)
    heard = dict(Listener.heard)
    assert set(heard) == {"/ok", "/gone", "/moved"}, "a redirect is not followed"
    sent = heard["/ok"]
    assert (sent["title"], sent["message"], sent["type"]) == ("ema", "Bought\n10.", "failure")


def test_private_addresses_are_connected_to_only_where_they_are_allowed(listener: str) -> None:
    """By number, by name and in disguise: what counts is where the socket goes."""
    port = listener.partition(":")[2]

    async def scenario() -> None:
        letters = [letter(listener), letter(f"localhost:{port}"), letter(f"[::ffff:7f00:1]:{port}")]
        told = await AppriseCourier(private=False).deliver(letters)
        assert [one.reason for one in told] == [notice_post.PRIVATE] * 3

    play(scenario)
    assert Listener.heard == []


PUBLIC = ["8.8.8.8", "2606:4700:4700::1111"]
PRIVATE = [
    "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0", "::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "224.0.0.1", "localhost",
    "example.com", "", "255.255.255.255",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_connected_to(address: str) -> None:
    assert notice_post.is_public((address, 443))


@pytest.mark.parametrize("address", [*((one, 443) for one in PRIVATE), "/run/bus", b"x", (), None])
def test_nothing_else_may(address: object) -> None:
    assert not notice_post.is_public(address)


@pytest.mark.parametrize("url", ["nosuch://x", "tgram://", "json://"])
def test_an_address_that_apprise_does_not_know_is_refused(url: str) -> None:
    async def scenario() -> None:
        with refused(Invalid, "apprise does not know that address"):
            await AppriseCourier(private=False).look_at(url)

    play(scenario)


def test_the_background_delivers_by_itself(desk: Desk) -> None:
    async def scenario() -> None:
        await desk.notices.add(desk.asha, "phone", URL)
        running = asyncio.create_task(desk.notices.run())
        await desk.notices.send(desk.asha.id, "ema", "Bought.")
        async with asyncio.timeout(10):
            while desk.states() != [("sent", 1)]:
                await asyncio.sleep(0.01)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    play(scenario)
