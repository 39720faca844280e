"""Environments: made once, whole or not at all, while the start that needs them waits."""

import asyncio
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algohost.domain.errors import Conflict, Invalid, Unavailable
from algohost.domain.ids import RunId, VersionId
from algohost.domain.strategies import Phase, Strategy
from algohost.host import uv
from algohost.host.environment_folders import EnvironmentFolders
from algohost.host.environment_places import remove_quietly
from algohost.host.environment_views import BEING_MADE, FAILED, EnvironmentView, State
from algohost.host.uv import Uv, UvFailed, masked
from algohost.store import strategies as stored_strategies
from tests.host.harness import ASHA, AT, HostUnderTest
from tests.wheels import offline, write_wheel

Scenario = Callable[[HostUnderTest], Awaitable[None]]

SCRIPT = "# /// script\n# dependencies = ['tinyone']\n# ///\nimport tinyone\n"


@pytest.fixture(autouse=True)
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the index there is."""
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    for name, value in offline(tmp_path).items():
        monkeypatch.setenv(name, value)
    write_wheel(tmp_path / "wheels", "tinyone", "1.0")
    write_wheel(tmp_path / "wheels", "openalgo", "9.9")
    return tmp_path / "wheels"


def play(folder: Path, scenario: Scenario) -> None:
    async def main() -> None:
        async with HostUnderTest(folder) as host:
            await scenario(host)

    asyncio.run(main())


async def add(host: HostUnderTest, source: str = SCRIPT, name: str = "Tiny") -> Strategy:
    view = await host.service.add(
        owner=ASHA, name=name, file_name="tiny.py", content=source.encode()
    )
    return view.strategy


async def settled(host: HostUnderTest, strategy: Strategy) -> EnvironmentView:
    """The environment once it is made, or is not."""
    deadline = asyncio.get_running_loop().time() + 30
    while (view := host.environments.view(strategy)).state in {State.MAKING, State.NOT_MADE}:
        assert asyncio.get_running_loop().time() < deadline, view
        await asyncio.sleep(0.01)
    return view


def _never(*_: object, **__: object) -> None:
    raise AssertionError("the disk was read")


def folders(host: HostUnderTest) -> list[str]:
    return sorted(path.name for path in (host.folder / "environments").iterdir())


def test_a_start_waits_for_its_environment_and_then_starts_once(tmp_path: Path) -> None:
    """R26: the gate has a name, the start happens by itself, with the environment's Python."""

    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host)
        begun = await host.service.start(ASHA, strategy.id)
        assert begun.phase is Phase.WAITING
        assert [gate.code for gate in begun.gates] == [BEING_MADE]
        assert begun.sentence.startswith("The environment is being made")
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        view = host.environments.view(strategy)
        assert view.facts is not None
        assert view.facts.packages == (("openalgo", "9.9"), ("tinyone", "1.0"))
        spec = host.keeper.specs[host.keeper.launches[0]]
        python = tmp_path / "environments" / view.facts.key / "bin" / "python"
        assert spec.interpreter == str(python)
        said = subprocess.check_output([python, "-c", "import tinyone; print(tinyone.VERSION)"])
        assert said == b"1.0\n"
        assert list(python.parent.parent.rglob("tinyone.*.pyc")), "bytecode is compiled"

    play(tmp_path, scenario)


def test_a_script_without_requirements_has_the_built_in_one(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host, "print(1)\n")
        assert (await host.service.start(ASHA, strategy.id)).phase is Phase.STARTING
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        assert host.keeper.specs[host.keeper.launches[0]].interpreter is None
        assert host.environments.view(strategy).state is State.BUILT_IN
        with pytest.raises(Invalid, match="built-in"):
            await host.environments.make_again(strategy)

    play(tmp_path, scenario)


def test_many_starts_of_one_environment_make_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installs: list[Path] = []
    real = Uv.install

    async def counted(self: Uv, lock: str, python: uv.Python, target: Path) -> None:
        installs.append(target)
        await real(self, lock, python, target)

    monkeypatch.setattr(Uv, "install", counted)

    async def scenario(host: HostUnderTest) -> None:
        made = [await add(host, f"{SCRIPT}# {n}\n", f"Tiny {n}") for n in range(5)]
        await asyncio.gather(*(host.service.start(ASHA, one.id) for one in made))
        await host.until(lambda: len(host.keeper.launches) == 5, "all launched")
        assert len(installs) == 1
        assert len({spec.interpreter for spec in host.keeper.specs.values()}) == 1

    play(tmp_path, scenario)


def test_a_failure_is_kept_whole_and_not_tried_again_until_asked(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What uv said survives a restart of the server; making it again starts what waits."""
    resolves: list[object] = []
    real = Uv.resolve

    async def counted(self: Uv, lines: tuple[str, ...], python: uv.Python) -> str:
        resolves.append(lines)
        return await real(self, lines, python)

    monkeypatch.setattr(Uv, "resolve", counted)

    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host, SCRIPT.replace("tinyone", "later_one"))
        await host.service.start(ASHA, strategy.id)
        view = await settled(host, strategy)
        assert view.state is State.FAILED
        assert "later-one was not found" in view.error
        assert "unsatisfiable" in view.error
        await host.kill_and_restart()
        await host.until(lambda: bool(host.service.get(ASHA, strategy.id).gates), "gate")
        waiting = host.service.get(ASHA, strategy.id)
        assert (waiting.phase, waiting.gates[0].code) == (Phase.WAITING, FAILED)
        assert "make it again" in waiting.sentence
        assert (len(resolves), host.keeper.launches) == (1, [])
        assert [name for name in folders(host) if not name.startswith(".")] == []
        write_wheel(wheels, "later_one", "1.0", {"later_one.py": ""})
        await host.environments.make_again(strategy)
        with pytest.raises(Conflict, match="already"):
            await host.environments.make_again(strategy)
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        assert len(resolves) == 2

    play(tmp_path, scenario)


def test_typed_requirements_win_and_a_change_tries_again(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host, "print(1)\n")
        first = await host.environments.set_requirements(strategy, "nosuch\r\n", by=ASHA)
        assert (first.state, first.typed) == (State.MAKING, "nosuch\n")
        assert (await settled(host, strategy)).state is State.FAILED
        await host.environments.set_requirements(strategy, "tinyone>=1\n", by=ASHA)
        assert (await settled(host, strategy)).state is State.READY
        await host.kill_and_restart()
        again = host.environments.view(strategy)
        assert (again.state, again.typed) == (State.READY, "tinyone>=1\n")
        with pytest.raises(Invalid, match="options cannot"):
            await host.environments.set_requirements(strategy, "-r x", by=ASHA)
        assert (
            await host.environments.set_requirements(strategy, "", by=ASHA)
        ).state is State.BUILT_IN

    play(tmp_path, scenario)


def test_a_bundle_brings_its_requirements_and_saving_makes_another(tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels", "tinyone", "2.0")

    def zipped(pin: str) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("pairs/main.py", "import tinyone\n")
            archive.writestr("pairs/requirements.txt", f"tinyone=={pin}\n")
        return made.getvalue()

    async def scenario(host: HostUnderTest) -> None:
        view = await host.service.add(
            owner=ASHA, name="", file_name="pairs.zip", content=zipped("1.0")
        )
        assert (view.strategy.name, view.strategy.file_name) == ("pairs", "pairs.zip")
        first = await settled(host, view.strategy)
        saved = await host.service.save_text(
            ASHA, view.strategy.id, "tinyone==2.0\n", file="requirements.txt"
        )
        second = await settled(host, saved.strategy)
        assert first.facts is not None
        assert second.facts is not None
        assert dict(first.facts.packages)["tinyone"] == "1.0"
        assert dict(second.facts.packages)["tinyone"] == "2.0"
        assert saved.strategy.version_id != view.strategy.version_id
        assert host.service.source(ASHA, view.strategy.id) == "import tinyone\n"

    play(tmp_path, scenario)


def test_a_lost_environment_is_made_again_just_as_it_was(tmp_path: Path, wheels: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host)
        before = await settled(host, strategy)
        assert before.facts is not None
        write_wheel(wheels, "tinyone", "2.0")
        shutil.rmtree(tmp_path / "environments" / before.facts.key)
        await host.service.start(ASHA, strategy.id)
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        after = host.environments.view(strategy)
        assert after.facts is not None
        assert after.facts.key == before.facts.key
        # only who asks for it gets newer versions
        await host.environments.make_again(strategy)
        newer = await settled(host, strategy)
        assert newer.facts is not None
        assert dict(newer.facts.packages)["tinyone"] == "2.0"

    play(tmp_path, scenario)


def test_only_what_nobody_asks_for_and_no_run_uses_is_removed(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host)
        await settled(host, strategy)
        await host.service.start(ASHA, strategy.id)
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        assert await host.environments.prune(unused_days=0) == []
        await host.environments.set_requirements(
            strategy, "tinyone\nsix-like @ https://x/y.whl", by=ASHA
        )
        await settled(host, strategy)  # fails: there is no network; the run lives on
        assert await host.environments.prune(unused_days=0) == []
        [listed] = await host.environments.listing()
        assert (listed.wanted_by, listed.is_in_use) == ((), True)
        host.keeper.exits(host.keeper.launches[0])
        await host.until(
            lambda: host.service.get(ASHA, strategy.id).phase is Phase.STOPPED, "stopped"
        )
        host.clock.set(listed.used_at)
        assert await host.environments.prune(unused_days=30) == []
        host.clock.advance(31 * 86_400)
        assert await host.environments.prune(unused_days=30) == [listed.facts.key]
        assert folders(host) == []

    play(tmp_path, scenario)


def test_another_python_is_found_or_said_which_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # those that this machine has besides cost seconds to ask

    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host, "# /// script\n# requires-python = '>=9.9'\n# ///\n")
        view = await settled(host, strategy)
        own = ".".join(map(str, sys.version_info[:3]))
        assert view.error.startswith("Python >=9.9 is asked for, and of the Pythons that")
        assert own in view.error.splitlines()[0]
        fits = await add(host, f"# /// script\n# requires-python = '=={own}'\n# ///\n", "Fits")
        made = await settled(host, fits)
        assert made.facts is not None, made
        assert made.facts.python == own

    play(tmp_path, scenario)


def test_a_run_that_begins_while_it_is_made_anew_keeps_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S6, R19: whether it is in use is asked again when the new one is ready."""
    real, release = Uv.install, asyncio.Event()

    async def held(self: Uv, lock: str, python: uv.Python, target: Path) -> None:
        await real(self, lock, python, target)
        await release.wait()

    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host)
        other = await add(host, "print(1)\n", "Other")
        await host.environments.set_requirements(other, "tinyone==1.0\n", by=ASHA)
        before = await settled(host, strategy)
        assert (await settled(host, other)).state is State.READY
        assert before.facts is not None
        place = tmp_path / "environments" / before.facts.key
        inode = place.stat().st_ino
        monkeypatch.setattr(Uv, "install", held)
        await host.environments.make_again(other)  # asks otherwise for the very same
        await host.until(lambda: any(place.parent.glob(".making-*/environment/bin")), "made")
        await host.service.start(ASHA, strategy.id)
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        release.set()
        assert (await settled(host, other)).state is State.READY
        assert place.stat().st_ino == inode
        assert host.keeper.specs[host.keeper.launches[0]].interpreter == str(place / "bin/python")

    play(tmp_path, scenario)


@pytest.mark.parametrize("damage", ["environment.json", "bin/python", ""])
def test_no_run_is_started_with_other_packages_than_asked(tmp_path: Path, damage: str) -> None:
    """What is READY may be gone a moment later: that closes the gate, it never means built in."""

    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host)
        before = await settled(host, strategy)
        assert before.facts is not None
        place = tmp_path / "environments" / before.facts.key
        if damage == "environment.json":
            (place / damage).write_text("[]")
        elif damage:
            (place / damage).unlink()
        else:
            shutil.rmtree(place)
        with pytest.raises(Unavailable, match="environment"):
            await host.environments.interpreter(strategy, RunId("r"))
        await host.service.start(ASHA, strategy.id)
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        spec = host.keeper.specs[host.keeper.launches[0]]
        assert spec.interpreter == str(place / "bin" / "python")
        assert (await host.environments.look(strategy)).state is State.READY

    play(tmp_path, scenario)


def test_requirements_that_cannot_be_read_start_nothing(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host, "# /// script\n# dependencies = [\n# ///\n")
        with pytest.raises(Unavailable, match="is not TOML"):
            await host.environments.interpreter(strategy, RunId("r"))

    play(tmp_path, scenario)


def test_a_damaged_environment_is_not_replaced_under_a_live_run(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host)
        before = await settled(host, strategy)
        await host.service.start(ASHA, strategy.id)
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        assert before.facts is not None
        place = tmp_path / "environments" / before.facts.key
        (place / "environment.json").unlink()
        inode = place.stat().st_ino
        await host.environments.closed(strategy)
        view = await settled(host, strategy)
        assert view.state is State.FAILED
        assert "damaged and a live run was started from it" in view.error
        assert place.stat().st_ino == inode

    play(tmp_path, scenario)


def test_a_view_reads_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and the live socket ask for one every few seconds, for each tab."""

    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host)
        await settled(host, strategy)
        monkeypatch.setattr(EnvironmentFolders, "facts", _never)
        monkeypatch.setattr(stored_strategies, "content", _never)
        assert host.environments.view(strategy).state is State.READY

    play(tmp_path, scenario)


def test_new_code_is_read_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have 50 MB: the loop goes on meanwhile."""
    threads: list[threading.Thread] = []
    real = stored_strategies.content

    def seen(*arguments: Any) -> bytes:
        threads.append(threading.current_thread())
        return real(*arguments)

    monkeypatch.setattr(stored_strategies, "content", seen)

    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host, "print(1)\n")
        await host.service.save_text(ASHA, strategy.id, "print(2)\n")
        await host.service.start(ASHA, strategy.id)
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")

    play(tmp_path, scenario)
    assert len(threads) >= 3
    assert threading.main_thread() not in threads


def test_what_is_no_longer_there_is_forgotten(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host, "print(0)\n")
        for n in range(140):
            changed = replace(strategy, version_id=VersionId(f"{n:064x}"))
            host.database.write_now(
                lambda c, v=changed: stored_strategies.save_version(  # type: ignore[misc]
                    c, v, b"print(1)\n", by="asha", at=AT
                )
            )
            await host.environments.look(changed)
        asking = host.environments._asking
        assert len(asking._read) < 100
        await host.service.delete(ASHA, strategy.id)
        assert asking._asked == {}

    play(tmp_path, scenario)


def test_what_an_earlier_server_left_is_swept_after_the_start(tmp_path: Path) -> None:
    """Removing a gigabyte must not keep the server from starting."""
    left = tmp_path / "environments" / ".making-0123"
    (left / "environment").mkdir(parents=True)

    async def scenario(host: HostUnderTest) -> None:
        assert left.exists()
        await host.until(lambda: not left.exists(), "swept")

    play(tmp_path, scenario)


def test_without_uv_the_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "find", lambda: None)

    async def scenario(host: HostUnderTest) -> None:
        view = await settled(host, await add(host))
        assert view.state is State.FAILED
        assert "uv is not installed here" in view.error

    play(tmp_path, scenario)


def test_packages_that_must_be_built_are_refused_unless_allowed(
    tmp_path: Path, wheels: Path
) -> None:
    """Building runs a package's own code as the server's user: it is off by default."""
    import tarfile

    marker = tmp_path / "built"
    setup = f"open({str(marker)!r}, 'w')\nfrom setuptools import setup\nsetup(name='srconly')\n"
    with tarfile.open(wheels / "srconly-1.0.tar.gz", "w:gz") as archive:
        for name, text in {"setup.py": setup, "PKG-INFO": "Metadata-Version: 1.0\n"}.items():
            entry = tarfile.TarInfo(f"srconly-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))

    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host, "print(1)\n")
        await host.environments.set_requirements(strategy, "srconly\n", by=ASHA)
        view = await settled(host, strategy)
        assert view.state is State.FAILED
        assert "no usable wheels" in view.error
        assert not marker.exists()

    play(tmp_path, scenario)


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(after=st.integers(0, 12))
def test_a_server_that_dies_at_any_moment_leaves_no_half_environment(
    tmp_path_factory: pytest.TempPathFactory, after: int
) -> None:
    """S6, R19: whatever is there under its key is whole; what is not is swept at the next start."""
    folder = tmp_path_factory.mktemp("killed")
    write_wheel(folder / "wheels", "tinyone", "1.0")
    write_wheel(folder / "wheels", "openalgo", "9.9")
    program = (
        "import asyncio\nfrom pathlib import Path\n"
        "from tests.host.test_environments import add\n"
        "from tests.host.harness import HostUnderTest\n"
        "async def main():\n"
        f"    async with HostUnderTest(Path({str(folder)!r})) as host:\n"
        "        await add(host)\n        print('begun', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, **offline(folder)}
    victim = subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"begun\n"
    time.sleep(after * 0.03)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    place = folder / "environments"
    for found in place.glob("[0-9a-f]*"):
        assert (found / "environment.json").is_file()
        assert (found / "bin" / "python").exists()
        assert list(found.rglob("tinyone.py"))

    for leftover in EnvironmentFolders(place).leftovers():
        remove_quietly(leftover)
    left = [path.name for path in place.iterdir()] if place.exists() else []
    assert all(len(name) == 64 for name in left)


def test_what_uv_hears_of_the_server_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """S18: the user's UV_* are respected; the server's own variables are not passed on."""
    monkeypatch.setenv("UV_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("OPENALGO_API_KEY", "canary")
    monkeypatch.setenv("ALGOHOST_DATA_DIR", "canary")
    monkeypatch.setenv("VIRTUAL_ENV", "canary")
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", "canary")
    given_to_uv = uv.environment()
    assert given_to_uv["UV_INDEX_URL"] == "https://mirror.example/simple"
    assert given_to_uv["https_proxy"] == "http://proxy.example:3128"
    assert given_to_uv["UV_PYTHON_DOWNLOADS"] == "never"
    assert "canary" not in given_to_uv.values()


def test_names_and_passwords_in_addresses_are_masked() -> None:
    said = "error: Failed to fetch https://asha:hunter2@mirror.example/simple/x/"
    assert masked(said) == "error: Failed to fetch https://****@mirror.example/simple/x/"


def test_what_is_given_up_is_ended_with_all_that_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R19: a build has processes of its own, which hold on to its output."""
    monkeypatch.setattr(uv, "_LONGEST_SECONDS", 1.5)
    note = tmp_path / "pid"
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\ntime.sleep(600)\n"
    )

    async def scenario() -> None:
        called = Uv(tmp_path, may_build=False, say=lambda _line: None)
        with pytest.raises(UvFailed, match="given up"):
            await called._call(sys.executable, "-c", program)
        deadline = time.monotonic() + 10
        while is_alive(int(note.read_text())):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    asyncio.run(scenario())


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('x' * 200_000_000)", "uv said more than 8 MB"),
        ("import sys; print('x' * 3_000_000, file=sys.stderr); sys.exit(3)", "too long"),
    ],
)
def test_a_flood_without_an_end_is_bounded(tmp_path: Path, program: str, said: str) -> None:
    async def scenario() -> None:
        called = Uv(tmp_path, may_build=False, say=lambda _line: None)
        with pytest.raises(UvFailed, match=said):
            await called._call(sys.executable, "-c", program)

    asyncio.run(scenario())


def test_a_flood_of_words_is_bounded(tmp_path: Path) -> None:
    async def scenario() -> None:
        lines: list[str] = []
        called = Uv(tmp_path, may_build=False, say=lines.append)
        program = (
            "import sys\nfor n in range(40000): print('line', n, file=sys.stderr)\nsys.exit(3)"
        )
        with pytest.raises(UvFailed) as refused:
            await called._call(sys.executable, "-c", program)
        assert len(refused.value.message) < 70_000
        assert refused.value.message.endswith("characters more.")
        assert lines[-1] == "line 39999"

    asyncio.run(scenario())
