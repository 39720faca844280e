"""The kill switch: who may turn it, what it holds back, and that nothing forgets it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from algohost.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from algohost.domain.ids import StrategyId
from algohost.domain.kill_switch import WHOLE_HOST, KillScope, KillTarget
from algohost.domain.orders import Book
from algohost.domain.strategies import Gate, Phase, Strategy
from algohost.domain.users import User, paper_account
from algohost.host.kill_switch import KILL_SWITCH, KillSwitch
from algohost.store import host_events
from tests.host.harness import ASHA, RAVI, HostUnderTest

Scenario = Callable[[HostUnderTest, KillSwitch], Awaitable[None]]
RAVIS = KillTarget(scope=KillScope.ACCOUNT, id=paper_account(RAVI))


class Source:
    """The gate, which the harness makes anew with each server."""

    def __init__(self) -> None:
        self.of: KillSwitch | None = None

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
        assert self.of is not None
        return await self.of.closed(strategy)


def opened(host: HostUnderTest) -> KillSwitch:
    made = KillSwitch(
        clock=host.clock,
        database=host.database,
        registry=host.registry,
        accounts=lambda: [paper_account(ASHA), paper_account(RAVI)],
    )
    source = host.more_gates["the kill switch"]
    assert isinstance(source, Source)
    source.of = made
    made.listen(host.gates.changed)
    return made


def play(folder: Path, scenario: Scenario) -> None:
    async def main() -> None:
        async with HostUnderTest(folder, gates={"the kill switch": Source()}) as host:
            await scenario(host, opened(host))

    asyncio.run(main())


def test_starts_wait_while_it_is_engaged_and_happen_once_when_it_is_released(
    tmp_path: Path,
) -> None:
    async def scenario(host: HostUnderTest, switch: KillSwitch) -> None:
        runs, waits = [(await host.add(name)).strategy.id for name in ("runs", "waits")]
        await host.service.start(ASHA, runs)
        await host.service.settled(runs, timeout_seconds=5)
        await switch.engage(ASHA, WHOLE_HOST, reason="  Prices\nlook wrong. ")
        view = await host.service.start(ASHA, waits)
        [gate] = view.gates
        assert gate.code == KILL_SWITCH
        assert gate.sentence == (
            "The kill switch of the whole server was engaged by asha at 23 Nov 09:15 IST:"
            " Prices look wrong. It starts by itself when the switch is released."
        )
        assert host.service.get(ASHA, runs).phase is Phase.RUNNING
        await host.kill_and_restart()
        switch = opened(host)
        assert [one.reason for one in switch.engaged(RAVI)] == ["Prices look wrong."]
        await switch.release(ASHA, WHOLE_HOST)
        await host.until(
            lambda: host.service.get(ASHA, waits).phase is Phase.RUNNING, "started by itself"
        )
        assert len(host.keeper.launches) == 2
        events = host.database.read(lambda c: host_events.of_subject(c, ""))
        assert [one.kind for one in events] == ["kill_switch_released", "kill_switch_engaged"]

    play(tmp_path, scenario)


def test_each_scope_covers_what_it_names(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, switch: KillSwitch) -> None:
        first, second = [(await host.add(name, owner=RAVI)).strategy for name in ("a", "b")]
        other = (await host.add("c")).strategy
        everything = (first, second, other)

        async def held() -> list[bool]:
            return [bool(await switch.closed(one)) for one in everything]

        def refused() -> list[str]:
            found = []
            for one in everything:
                owner = RAVI if one.owner_id == RAVI.id else ASHA
                try:
                    switch.refuse_order(Book(account_id=paper_account(owner), strategy_id=one.id))
                    found.append("")
                except Conflict as refusal:
                    found.append(refusal.code)
            return found

        one = switch.target(RAVI, "strategy", first.id)
        for target, expected in [
            (one, [True, False, False]),
            (RAVIS, [True, True, False]),
            (WHOLE_HOST, [True, True, True]),
        ]:
            await switch.engage(ASHA, target)
            codes = [KILL_SWITCH if is_held else "" for is_held in expected]
            assert (await held(), refused()) == (expected, codes)
            await switch.release(ASHA, target)
            assert (await held(), refused()) == ([False] * 3, [""] * 3)

    play(tmp_path, scenario)


def test_an_accounts_own_orders_are_covered_by_its_switch(tmp_path: Path) -> None:
    """Orders with an account's key belong to no strategy."""

    async def scenario(_host: HostUnderTest, switch: KillSwitch) -> None:
        await switch.engage(RAVI, RAVIS)
        with pytest.raises(Conflict):
            switch.refuse_order(Book(account_id=paper_account(RAVI), strategy_id=None))
        switch.refuse_order(Book(account_id=paper_account(ASHA), strategy_id=None))

    play(tmp_path, scenario)


def test_users_turn_their_own_switches_and_no_others(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, switch: KillSwitch) -> None:
        ashas = (await host.add()).strategy.id
        for act in (switch.engage, switch.release):
            with pytest.raises(Forbidden):
                await act(RAVI, WHOLE_HOST)
        never_made = f"{paper_account(RAVI)}-1a2b"
        for scope, id_ in [
            ("account", paper_account(ASHA)), ("strategy", ashas), ("strategy", ""),
            ("account", never_made),
        ]:  # fmt: skip
            with pytest.raises(NotFound):
                switch.target(RAVI, scope, id_)
        with pytest.raises(NotFound):
            switch.target(ASHA, "account", "paper-nobody")
        with pytest.raises(Invalid, match="use host, account, strategy"):
            switch.target(RAVI, "everything")
        assert switch.target(RAVI, "account") == RAVIS
        await switch.engage(ASHA, RAVIS, reason="Look at your sizes")
        with pytest.raises(Forbidden, match="only an administrator"):
            await switch.release(RAVI, RAVIS)
        mine = KillTarget(scope=KillScope.STRATEGY, id=ashas)
        await switch.engage(ASHA, mine)
        assert [one.target for one in switch.engaged(RAVI)] == [RAVIS]
        assert [one.target for one in switch.engaged(ASHA)] == [RAVIS, mine]

    play(tmp_path, scenario)


def test_engaging_twice_keeps_the_first_and_releasing_twice_is_nothing(tmp_path: Path) -> None:
    async def scenario(_host: HostUnderTest, switch: KillSwitch) -> None:
        first = await switch.engage(ASHA, RAVIS, reason="first")
        assert await switch.engage(RAVI, RAVIS, reason="second") == first
        assert await switch.engage(ASHA, RAVIS, reason="third") == first
        await switch.release(ASHA, RAVIS)
        await switch.release(ASHA, RAVIS)
        assert switch.engaged(RAVI) == []

    play(tmp_path, scenario)


def test_what_an_administrator_engages_too_its_user_does_not_release(tmp_path: Path) -> None:
    """Else the administrator is told that it is engaged, and a moment later it is not."""

    async def scenario(host: HostUnderTest, switch: KillSwitch) -> None:
        await switch.engage(RAVI, RAVIS, reason="mine")
        await switch.engage(ASHA, RAVIS, reason="Look at your sizes")
        with pytest.raises(Forbidden, match="only an administrator"):
            await switch.release(RAVI, RAVIS)
        (kept,) = opened(host).engaged(RAVI)
        assert (kept.by, kept.reason) == (ASHA.name, "Look at your sizes")

    play(tmp_path, scenario)


def test_it_holds_at_once_although_another_one_is_still_being_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is locked takes seconds to say so; orders must not go on for so long."""

    async def scenario(host: HostUnderTest, switch: KillSwitch) -> None:
        locked = asyncio.Event()

        async def slow(_work: object) -> None:
            await locked.wait()

        monkeypatch.setattr(host.database, "write", slow)
        acts = [asyncio.create_task(switch.engage(ASHA, RAVIS))]
        acts.append(asyncio.create_task(switch.engage(ASHA, WHOLE_HOST)))
        await asyncio.sleep(0)
        with pytest.raises(Conflict):
            switch.refuse_order(Book(account_id=paper_account(ASHA), strategy_id=None))
        locked.set()
        await asyncio.gather(*acts)
        assert len(switch.engaged(ASHA)) == 2

    play(tmp_path, scenario)


@pytest.mark.parametrize("again", [RAVI, ASHA])
def test_engaged_while_a_release_is_written_down_it_is_engaged_and_durable(
    tmp_path: Path, again: User
) -> None:
    async def scenario(host: HostUnderTest, switch: KillSwitch) -> None:
        await switch.engage(RAVI, RAVIS)
        releasing = asyncio.create_task(switch.release(RAVI, RAVIS))
        await asyncio.sleep(0)
        made = await switch.engage(again, RAVIS, reason="again")
        await releasing
        assert switch.engaged(ASHA) == [made]
        assert [one.by for one in opened(host).engaged(ASHA)] == [again.name]

    play(tmp_path, scenario)


def test_a_reason_is_one_line_that_writes_nothing_else_on_a_terminal(tmp_path: Path) -> None:
    async def scenario(_host: HostUnderTest, switch: KillSwitch) -> None:
        made = await switch.engage(RAVI, RAVIS, reason="a\x1b[2J\u202eb\r\n\tc\x00 é")
        assert made.reason == "a [2J b c é"

    play(tmp_path, scenario)


def test_a_listener_that_fails_keeps_nobody_from_hearing(tmp_path: Path) -> None:
    async def scenario(_host: HostUnderTest, switch: KillSwitch) -> None:
        heard: list[str] = []

        def broken() -> None:
            raise RuntimeError("broken")

        switch.listen(broken)
        switch.listen(lambda: heard.append("turned"))
        await switch.engage(RAVI, RAVIS)
        await switch.release(RAVI, RAVIS)
        assert heard == ["turned"] * 2

    play(tmp_path, scenario)


def test_a_full_disk_does_not_keep_orders_going(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds from the call on; that it is not durable is said, and the next call mends it."""

    async def full(_work: object) -> None:
        raise Unavailable("The disk is full.")

    async def scenario(host: HostUnderTest, switch: KillSwitch) -> None:
        with monkeypatch.context() as disk:
            disk.setattr(host.database, "write", full)
            with pytest.raises(Unavailable, match="is engaged, but that cannot be written down"):
                await switch.engage(ASHA, WHOLE_HOST)
        book = Book(account_id=paper_account(RAVI), strategy_id=StrategyId("x"))
        with pytest.raises(Conflict):
            switch.refuse_order(book)
        assert opened(host).engaged(ASHA) == []
        await switch.engage(ASHA, WHOLE_HOST)
        assert [one.target for one in opened(host).engaged(ASHA)] == [WHOLE_HOST]

    play(tmp_path, scenario)


def test_a_release_that_cannot_be_written_down_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_work: object) -> None:
        raise Unavailable("The disk is full.")

    async def scenario(host: HostUnderTest, switch: KillSwitch) -> None:
        await switch.engage(ASHA, WHOLE_HOST)
        with monkeypatch.context() as disk:
            disk.setattr(host.database, "write", full)
            with pytest.raises(Unavailable):
                await switch.release(ASHA, WHOLE_HOST)
        assert [one.target for one in switch.engaged(ASHA)] == [WHOLE_HOST]

    play(tmp_path, scenario)
