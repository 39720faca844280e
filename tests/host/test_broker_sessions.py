"""Logins of accounts: what is kept, what is told, and how they hold starts back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from algohost.broker.login import PaperLogin
from algohost.domain.broker_sessions import BrokerLogin, SessionState
from algohost.domain.errors import Conflict, Unavailable
from algohost.domain.ids import AccountId, StrategyId
from algohost.domain.strategies import Phase, Strategy
from algohost.host import broker_sessions as module
from algohost.host.broker_sessions import BROKER_LOGGED_OUT, BrokerSessions
from algohost.host.gates import Gates
from tests.host.harness import ASHA, AT, RAVI, HostUnderTest

UNTIL = time(9, 45)
"""Half an hour after the fake clock begins."""


class Sessions:
    """The source of the gate, which the harness makes anew with each server."""

    def __init__(self) -> None:
        self.of: BrokerSessions | None = None

    async def closed(self, strategy: Strategy) -> object:
        assert self.of is not None
        return await self.of.closed(strategy)


def opened(host: HostUnderTest, login: BrokerLogin | None = None) -> BrokerSessions:
    made = BrokerSessions(
        clock=host.clock,
        database=host.database,
        login=login or PaperLogin(until=UNTIL),
        told_ahead=timedelta(minutes=10),
    )
    source = host.more_gates["the broker session"]
    assert isinstance(source, Sessions)
    source.of = made
    made.listen(lambda _account: host.gates.changed())
    return made


Scenario = Callable[[HostUnderTest], Awaitable[None]]


def play(folder: Path, scenario: Scenario) -> None:
    async def main() -> None:
        async with HostUnderTest(folder, gates={"the broker session": Sessions()}) as host:  # type: ignore[dict-item]
            await scenario(host)

    asyncio.run(main())


def kinds(sessions: BrokerSessions) -> list[str]:
    return [event.kind for event in reversed(sessions.events(ASHA))]


def test_a_paper_account_is_logged_in_for_ever_unless_somebody_says_otherwise(
    tmp_path: Path,
) -> None:
    async def scenario(host: HostUnderTest) -> None:
        sessions = opened(host, PaperLogin())
        view = sessions.view(ASHA)
        assert (view.state, view.expires_at, view.fields) == (SessionState.LOGGED_IN, None, ())
        strategy = (await host.add()).strategy
        assert await sessions.closed(strategy) == ()
        assert (await sessions.log_out(ASHA)).state is SessionState.LOGGED_OUT
        with pytest.raises(Conflict, match="nothing to end"):
            await sessions.log_out(ASHA)
        assert sessions.view(RAVI).state is SessionState.LOGGED_IN  # accounts are apart
        [gate] = await sessions.closed(strategy)
        assert gate.code == BROKER_LOGGED_OUT
        assert gate.sentence == (
            "The broker session of its account was ended by asha. Log in on the page of"
            " strategies or with “algohost broker login”; it starts by itself then."
        )

    play(tmp_path, scenario)


def test_an_expiry_is_told_ahead_and_at_once_and_a_login_opens_the_gate(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        sessions = opened(host)
        assert sessions.view(ASHA).state is SessionState.LOGGED_OUT
        view = await sessions.log_in(ASHA, {})
        assert view.expires_at == AT + timedelta(minutes=30)
        runs, waits = [(await host.add(name)).strategy.id for name in ("runs", "waits")]
        await host.service.start(ASHA, runs)
        await host.service.settled(runs, timeout_seconds=5)
        host.clock.advance(timedelta(minutes=20))
        for _ in range(3):
            await sessions.tell()
        assert sessions.view(ASHA).is_expiring
        host.clock.advance(timedelta(minutes=10))
        for _ in range(3):
            await sessions.tell()
        assert kinds(sessions) == [
            "broker_logged_in", "broker_session_expiring", "broker_session_expired"
        ]  # fmt: skip
        assert (await host.service.start(ASHA, waits)).phase is Phase.WAITING
        gate = host.service.get(ASHA, waits).gates[0]
        assert (gate.code, "expired at 23 Nov 09:45 IST" in gate.sentence) == (
            BROKER_LOGGED_OUT, True
        )  # fmt: skip
        assert host.service.get(ASHA, runs).phase is Phase.RUNNING
        await sessions.log_in(ASHA, {})
        await host.until(
            lambda: host.service.get(ASHA, waits).phase is Phase.RUNNING, "started by itself"
        )
        assert len(host.keeper.launches) == 2
        assert sessions.view(ASHA).expires_at == AT + timedelta(days=1, minutes=30)

    play(tmp_path, scenario)


def test_what_was_done_and_told_survives_a_restart(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        await opened(host).log_in(ASHA, {})
        host.clock.advance(timedelta(minutes=25))
        again = opened(host)
        assert again.view(ASHA).state is SessionState.LOGGED_IN
        await again.tell()
        host.clock.advance(timedelta(hours=3))  # the server was away when it ended
        late = opened(host)
        await late.tell()
        await opened(host).tell()
        assert late.view(ASHA).state is SessionState.EXPIRED
        assert kinds(late) == [
            "broker_logged_in", "broker_session_expiring", "broker_session_expired"
        ]  # fmt: skip

    play(tmp_path, scenario)


def test_a_session_of_before_the_setting_was_changed_follows_it(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        await opened(host, PaperLogin()).log_in(ASHA, {})
        assert opened(host).view(ASHA).expires_at == AT + timedelta(minutes=30)
        assert opened(host, PaperLogin()).view(ASHA).expires_at is None

    play(tmp_path, scenario)


def test_a_renewed_session_is_told_of_again(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        sessions = opened(host)
        for _ in range(2):
            await sessions.log_in(ASHA, {})
            expires_at = sessions.view(ASHA).expires_at
            assert expires_at is not None
            host.clock.set(expires_at)
            await sessions.tell()
        assert kinds(sessions).count("broker_session_expired") == 2

    play(tmp_path, scenario)


def test_what_cannot_be_written_down_is_told_later_and_ends_no_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_work: object) -> None:
        raise Unavailable("The disk is full.")

    async def scenario(host: HostUnderTest) -> None:
        sessions = opened(host)
        await sessions.log_in(ASHA, {})
        host.clock.advance(timedelta(minutes=31))
        monkeypatch.setattr(module, "_LOOK_SECONDS", 0.002)
        with monkeypatch.context() as disk:
            disk.setattr(host.database, "write", full)
            loop = asyncio.create_task(sessions.run())
            await host.until(lambda: sessions.failures > 1, "failed twice")
        await host.until(lambda: kinds(sessions)[-1] == "broker_session_expired", "told")
        loop.cancel()

    play(tmp_path, scenario)


def test_a_broker_that_is_silent_is_an_answer_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(PaperLogin):
        async def log_in(
            self, account_id: AccountId, answers: Mapping[str, str], *, at: datetime
        ) -> datetime | None:
            await asyncio.Event().wait()
            return None

    async def scenario(host: HostUnderTest) -> None:
        sessions = opened(host, Silent())
        monkeypatch.setattr(module, "_CHANGE_SECONDS", 0.01)
        with pytest.raises(Unavailable, match="did not answer"):
            await sessions.log_in(ASHA, {})

    play(tmp_path, scenario)


def test_the_gates_of_a_server_are_told_of_logins(tmp_path: Path) -> None:
    """The listener that bootstrap sets: nothing waits for the next look."""

    async def scenario(host: HostUnderTest) -> None:
        sessions = opened(host)
        told: list[StrategyId | None] = []
        gates = Gates({"the broker session": sessions})
        gates.listen(told.append)
        sessions.listen(lambda _account: gates.changed())
        await sessions.log_in(ASHA, {})
        assert told == [None]

    play(tmp_path, scenario)
