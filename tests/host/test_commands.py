"""Commands and the reconciler over a fake agent: what users ask for, and what goes wrong."""

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from algohost.domain.errors import (
    AlgohostError,
    Conflict,
    Invalid,
    NotFound,
    TooLarge,
    Unavailable,
)
from algohost.domain.strategies import Phase
from algohost.host import bundles
from tests.host.harness import ASHA, RAVI, SOURCE, HostUnderTest

Scenario = Callable[[HostUnderTest], Awaitable[None]]


def play(folder: Path, scenario: Scenario) -> None:
    async def main() -> None:
        async with HostUnderTest(folder) as host:
            await scenario(host)

    asyncio.run(main())


def test_a_start_makes_one_run_with_its_own_token_and_folders(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        started = await host.service.start(ASHA, view.strategy.id)
        assert started.phase is Phase.STARTING
        assert started.latest is not None
        run_id = started.latest.id
        await host.until(
            lambda: host.service.get(ASHA, view.strategy.id).phase is Phase.RUNNING, "running"
        )
        spec = host.keeper.specs[run_id]
        assert Path(spec.script).read_bytes() == SOURCE
        assert Path(spec.script).name == "ema.py"
        assert Path(spec.cwd).is_dir()
        assert re.fullmatch(r"ema_\d{14}_20261123_091500_IST\.log", Path(spec.log_path).name)
        assert list(host.tokens.live) == [run_id]
        given = {name: spec.env[name] for name in ("HOST_SERVER", "WEBSOCKET_URL", "STRATEGY_ID")}
        assert given == {
            "HOST_SERVER": "http://127.0.0.1:5000",
            "WEBSOCKET_URL": "ws://127.0.0.1:8765",
            "STRATEGY_ID": view.strategy.id,
        }

    play(tmp_path, scenario)


def test_fifty_starts_at_once_make_one_run(tmp_path: Path) -> None:
    """Bar R7: one start wins, the others are told the id of its run."""

    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        results = await asyncio.gather(
            *(host.service.start(ASHA, view.strategy.id) for _ in range(50)),
            return_exceptions=True,
        )
        refusals = [r for r in results if isinstance(r, Conflict)]
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        assert len(refusals) == 49
        assert {r.code for r in refusals} == {"ALREADY_RUNNING"}
        assert {r.details["run_id"] for r in refusals} == set(host.keeper.launches)

    play(tmp_path, scenario)


def test_a_stop_is_answered_at_once_and_ends_as_stopped(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        await host.service.start(ASHA, view.strategy.id)
        await host.service.settled(view.strategy.id, timeout_seconds=5)
        stopping = await host.service.stop(ASHA, view.strategy.id)
        assert stopping.phase is Phase.STOPPING
        assert (await host.service.stop(ASHA, view.strategy.id)).phase is Phase.STOPPING
        host.keeper.exits(host.keeper.launches[0], code=None, signal=15)
        settled = await host.service.settled(view.strategy.id, timeout_seconds=5)
        assert settled.phase is Phase.STOPPED
        assert settled.latest is not None
        assert str(settled.latest.outcome) == "stopped"
        assert settled.latest.stop_asked_by == "user:asha"
        assert host.tokens.live == {}
        assert host.keeper.known == {}

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("code", "signal", "phase", "outcome", "sentence"),
    [
        (0, None, Phase.STOPPED, "exited(0)", "Finished by itself at 23 Nov 09:16:00 IST."),
        (1, None, Phase.ERROR, "exited(1)", "Exited with code 1 at 23 Nov 09:16:00 IST."),
        (None, 15, Phase.ERROR, "signalled(15)", "Ended by SIGTERM at 23 Nov 09:16:00 IST."),
        (
            None,
            11,
            Phase.ERROR,
            "signalled(11)",
            "Ended by SIGSEGV (it touched memory that is not its own) at 23 Nov 09:16:00 IST.",
        ),
    ],
)
def test_a_run_that_ends_by_itself_is_shown_as_it_ended(
    tmp_path: Path, code: int | None, signal: int | None, phase: Phase, outcome: str, sentence: str
) -> None:
    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        await host.service.start(ASHA, view.strategy.id)
        await host.service.settled(view.strategy.id, timeout_seconds=5)
        host.keeper.exits(host.keeper.launches[0], code=code, signal=signal)
        await host.until(
            lambda: host.service.get(ASHA, view.strategy.id).phase is phase, phase.value
        )
        after = host.service.get(ASHA, view.strategy.id)
        assert after.latest is not None
        assert (str(after.latest.outcome), after.sentence) == (outcome, sentence)
        await host.service.start(ASHA, view.strategy.id)
        await host.until(lambda: len(host.keeper.launches) == 2, "started again")

    play(tmp_path, scenario)


def test_a_launch_that_fails_is_an_error_with_its_reason(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        host.keeper.refuses_with = "The folder work/ema is missing."
        view = await host.add()
        await host.service.start(ASHA, view.strategy.id)
        settled = await host.service.settled(view.strategy.id, timeout_seconds=5)
        assert settled.phase is Phase.ERROR
        assert "Failed to start (The folder work/ema is missing)" in settled.sentence

    play(tmp_path, scenario)


def test_a_full_disk_does_not_keep_a_strategy_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever fills the disk must be stoppable; what could not be written is written later."""

    async def full(_work: object) -> None:
        raise Unavailable("The database cannot be used (disk full).", code="DATABASE")

    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        await host.service.start(ASHA, view.strategy.id)
        await host.service.settled(view.strategy.id, timeout_seconds=5)
        run_id = host.keeper.launches[0]
        with monkeypatch.context() as disk:
            disk.setattr(host.database, "write", full)
            with pytest.raises(Unavailable, match="is being stopped, but"):
                await host.service.stop(ASHA, view.strategy.id)
            assert host.keeper.known[run_id].state == "stopping"
            host.keeper.exits(run_id, code=None, signal=2)
        await host.until(
            lambda: host.service.get(ASHA, view.strategy.id).phase is Phase.STOPPED, "written"
        )
        latest = host.service.get(ASHA, view.strategy.id).latest
        assert latest is not None
        assert str(latest.outcome) == "stopped"
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario)


def test_without_an_agent_a_start_waits_and_then_happens_once(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        host.keeper.is_away = True
        waiting = await host.service.start(ASHA, view.strategy.id)
        assert (waiting.phase, waiting.gates[0].code) == (Phase.WAITING, "AGENT_AWAY")
        with pytest.raises(Conflict):
            await host.service.start(ASHA, view.strategy.id)
        host.keeper.returns()
        await host.until(
            lambda: host.service.get(ASHA, view.strategy.id).phase is Phase.RUNNING, "running"
        )
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario)


def test_a_lost_reply_does_not_start_twice(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        host.keeper.loses_replies = True
        await host.service.start(ASHA, view.strategy.id)
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        host.keeper.loses_replies = False
        host.keeper.returns()
        await host.until(
            lambda: host.service.get(ASHA, view.strategy.id).phase is Phase.RUNNING, "running"
        )
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario)


def test_a_restarted_server_finds_its_runs_and_what_ended_meanwhile(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        names = ("stays", "crashes", "finishes")
        ids = [(await host.add(name)).strategy.id for name in names]
        for strategy_id in ids:
            await host.service.start(ASHA, strategy_id)
            await host.service.settled(strategy_id, timeout_seconds=5)
        by_strategy = {
            strategy_id: run.id
            for strategy_id in ids
            if (run := host.service.get(ASHA, strategy_id).latest)
        }
        await host.halt()
        host.keeper.exits(by_strategy[ids[1]], code=7)
        host.keeper.exits(by_strategy[ids[2]], code=0)
        await host.kill_and_restart()

        def outcomes() -> list[str]:
            latest = [host.service.get(ASHA, one).latest for one in ids]
            return [str(run.outcome) if run and run.outcome else "lives" for run in latest]

        await host.until(
            lambda: outcomes() == ["lives", "exited(7)", "exited(0)"], "the truth is known"
        )
        assert len(host.keeper.launches) == 3

    play(tmp_path, scenario)


def test_a_run_that_no_row_stands_for_is_ended(tmp_path: Path) -> None:
    """The database was restored from before the start: the process must not go on unseen."""

    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        await host.service.start(ASHA, view.strategy.id)
        await host.service.settled(view.strategy.id, timeout_seconds=5)
        fact = host.keeper.known.pop(host.keeper.launches[0])
        host.keeper.known["stranger"] = fact.__class__(**{**fact.__dict__, "run_id": "stranger"})
        await host.until(lambda: host.keeper.known["stranger"].state == "stopping", "asked to stop")
        latest = host.service.get(ASHA, view.strategy.id).latest
        assert latest is not None

    play(tmp_path, scenario)


BAD_FILES: list[tuple[str, str, bytes, type[AlgohostError], str]] = [
    ("not python", "ema.txt", SOURCE, Invalid, "neither a Python file nor a zip"),
    ("no name", ".py", SOURCE, Invalid, "neither a Python file nor a zip"),
    ("empty", "ema.py", b" \n", Invalid, "empty"),
    ("too large", "ema.py", b"#" * 10_485_760, TooLarge, "at most 1,048,576"),
    ("latin-1", "ema.py", "x = 'caf\xe9'\n".encode("latin-1"), Invalid, "UTF-8"),
    ("utf-16", "ema.py", "x = 1\n".encode("utf-16"), Invalid, "UTF-8"),
]


@pytest.mark.parametrize(
    ("file_name", "content", "error", "said"),
    [b[1:] for b in BAD_FILES],
    ids=[b[0] for b in BAD_FILES],
)
def test_what_cannot_be_a_strategy_is_refused_and_nothing_is_kept(
    tmp_path: Path, file_name: str, content: bytes, error: type[AlgohostError], said: str
) -> None:
    async def scenario(host: HostUnderTest) -> None:
        with pytest.raises(error, match=said):
            await host.service.add(owner=ASHA, name="x", file_name=file_name, content=content)
        assert host.service.list(ASHA) == []

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "source",
    [
        b"def f(:\n",
        b"return 1\n",
        b"x = \x00\n",
        b"-" * 500_000 + b"1",
        b"(" * 5_000,
        b"9**9**9**9 if",
    ],
)
def test_text_that_does_not_compile_is_a_draft_that_cannot_start(
    tmp_path: Path, source: bytes
) -> None:
    async def scenario(host: HostUnderTest) -> None:
        view = await host.service.add(owner=ASHA, name="x", file_name="x.py", content=source)
        assert view.strategy.problem is not None
        assert view.sentence.startswith("Draft: line 1 does not compile")
        with pytest.raises(Invalid, match="Line 1 does not compile") as refused:
            await host.service.start(ASHA, view.strategy.id)
        assert refused.value.code == "SOURCE_PROBLEM"
        await host.service.save(ASHA, view.strategy.id, SOURCE)
        await host.service.start(ASHA, view.strategy.id)

    play(tmp_path, scenario)


def test_the_same_name_twice_in_a_second_makes_two_strategies(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        views = await asyncio.gather(*(host.add("<b>EMA</b>") for _ in range(5)))
        assert len({view.strategy.id for view in views}) == 5
        assert {view.strategy.name for view in views} == {"<b>EMA</b>"}

    play(tmp_path, scenario)


def test_another_users_strategy_is_as_good_as_none(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        of_asha, of_ravi = await host.add("a", ASHA), await host.add("r", RAVI)
        for act in (host.service.start, host.service.stop, host.service.delete):
            with pytest.raises(NotFound) as foreign:
                await act(RAVI, of_asha.strategy.id)
            with pytest.raises(NotFound) as unknown:
                await act(RAVI, "nothing_20260101000000")
            assert foreign.value.message == unknown.value.message
        assert [v.strategy.id for v in host.service.list(RAVI)] == [of_ravi.strategy.id]
        assert len(host.service.list(ASHA)) == 2

    play(tmp_path, scenario)


def test_running_code_is_neither_changed_nor_deleted(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        strategy_id = (await host.add()).strategy.id
        await host.service.start(ASHA, strategy_id)
        with pytest.raises(Conflict, match="once it is stopped"):
            await host.service.save(ASHA, strategy_id, b"x = 1\n")
        with pytest.raises(Conflict, match="once it is stopped"):
            await host.service.delete(ASHA, strategy_id)
        await host.service.settled(strategy_id, timeout_seconds=5)
        host.keeper.exits(host.keeper.launches[0])
        await host.until(
            lambda: host.service.get(ASHA, strategy_id).phase is Phase.STOPPED, "stopped"
        )
        with pytest.raises(Conflict, match="nothing to stop"):
            await host.service.stop(ASHA, strategy_id)
        await host.service.delete(ASHA, strategy_id)
        with pytest.raises(NotFound):
            host.service.get(ASHA, strategy_id)
        await host.kill_and_restart()
        assert host.service.list(ASHA) == []

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "content",
    [
        "# coding: latin-1\nx = 'caf\xe9'\n".encode("latin-1"),
        b"\xef\xbb\xbfx = 1\n",
        b"x = 1\r\ny = 2\r\n",
        "x = '₹'\n".encode(),
    ],
    ids=["latin-1", "byte order mark", "windows line ends", "utf-8"],
)
def test_saving_an_untouched_text_changes_nothing(tmp_path: Path, content: bytes) -> None:
    """An editor shows text; what it gives back is kept as the bytes that it was."""

    async def scenario(host: HostUnderTest) -> None:
        view = await host.service.add(owner=ASHA, name="x", file_name="x.py", content=content)
        text = host.service.source(ASHA, view.strategy.id)
        assert "\r" not in text
        saved = await host.service.save_text(ASHA, view.strategy.id, text)
        assert saved.strategy.version_id == view.strategy.version_id
        assert saved.strategy.problem is None

    play(tmp_path, scenario)


def test_a_text_that_its_named_encoding_cannot_hold_is_refused(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        with pytest.raises(Invalid, match="does not fit the encoding"):
            await host.service.save_text(ASHA, view.strategy.id, "# coding: latin-1\nx = '₹'\n")

    play(tmp_path, scenario)


def test_strategies_of_the_same_code_are_put_on_disk_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R19: they share the folder of their version; the slower must not take the faster's away."""
    real, second = bundles.materialise, threading.Event()
    inside: list[Path] = []

    def slow(folder: Path, content: bytes, *, partial: Path) -> Path:
        inside.append(partial)
        if len(inside) > 1:
            second.set()
        second.wait(0.2)
        assert len(inside) == 1
        script = real(folder, content, partial=partial)
        inside.remove(partial)
        return script

    monkeypatch.setattr(bundles, "materialise", slow)

    async def scenario(host: HostUnderTest) -> None:
        content = bundles.pack({"main.py": SOURCE, "one.py": b"A = 1\n"})
        made = [
            await host.service.add(owner=ASHA, name=name, file_name="a.zip", content=content)
            for name in ("One", "Two", "Three")
        ]
        await asyncio.gather(*(host.service.start(ASHA, one.strategy.id) for one in made))
        await host.until(lambda: len(host.keeper.launches) == 3, "launched")
        assert (host.reconciler.failures, second.is_set()) == (0, False)
        assert len({spec.script for spec in host.keeper.specs.values()}) == 1

    play(tmp_path, scenario)


def test_saves_of_several_files_at_once_keep_each_other(tmp_path: Path) -> None:
    """Each edits the version before it: none brings back what another has changed."""

    async def scenario(host: HostUnderTest) -> None:
        files = dict.fromkeys(("main.py", "one.py", "two.py"), b"A = 0\n")
        view = await host.service.add(
            owner=ASHA, name="Pairs", file_name="pairs.zip", content=bundles.pack(files)
        )
        made = view.strategy.id
        await asyncio.gather(
            *(host.service.save_text(ASHA, made, f"A = '{name}'\n", file=name) for name in files)
        )
        for name in files:
            assert host.service.source(ASHA, made, name) == f"A = '{name}'\n"

    play(tmp_path, scenario)
