"""Packages of who is no administrator: resolved, and nothing of them run before one allows them."""

import asyncio
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from algohost.domain.errors import Conflict, Forbidden, Unavailable
from algohost.domain.ids import RunId
from algohost.domain.strategies import Phase, Strategy
from algohost.domain.users import User
from algohost.host.environment_views import NOT_ALLOWED, EnvironmentView, State
from tests.host.harness import ASHA, AT, RAVI, HostUnderTest
from tests.wheels import offline, write_wheel

Scenario = Callable[[HostUnderTest], Awaitable[None]]

SCRIPT = "# /// script\n# dependencies = ['tinyone']\n# ///\nimport tinyone\n"


@pytest.fixture(autouse=True)
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once anything of the package has run."""
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    for name, value in offline(tmp_path).items():
        monkeypatch.setenv(name, value)
    put_wheel(tmp_path, "1.0")
    write_wheel(tmp_path / "wheels", "openalgo", "9.9")
    return tmp_path / "canary"


def put_wheel(folder: Path, version: str, more: str = "") -> None:
    """A package whose .pth file writes the canary whenever its environment's Python starts."""
    line = f"import pathlib; pathlib.Path({str(folder / 'canary')!r}).write_text('ran')\n"
    files = {"tinyone.py": f"VERSION = {version!r}\n{more}", "tinyone.pth": line}
    write_wheel(folder / "wheels", "tinyone", version, files)


def play(folder: Path, scenario: Scenario) -> None:
    async def main() -> None:
        async with HostUnderTest(folder) as host:
            await scenario(host)

    asyncio.run(main())


async def add(
    host: HostUnderTest,
    content: bytes = SCRIPT.encode(),
    *,
    owner: User = RAVI,
    name: str = "Tiny",
    file_name: str = "tiny.py",
) -> Strategy:
    view = await host.service.add(owner=owner, name=name, file_name=file_name, content=content)
    return view.strategy


async def settled(host: HostUnderTest, strategy: Strategy) -> EnvironmentView:
    """The environment once nothing is being made."""
    deadline = asyncio.get_running_loop().time() + 30
    while (view := host.environments.view(strategy)).state in {State.MAKING, State.NOT_MADE}:
        assert asyncio.get_running_loop().time() < deadline, view
        await asyncio.sleep(0.01)
    return view


async def proposed_key(host: HostUnderTest, strategy: Strategy) -> str:
    """The key that waits to be allowed."""
    view = await settled(host, strategy)
    assert view.state is State.NOT_ALLOWED, view
    assert view.proposed is not None
    return view.proposed.key


def folders(host: HostUnderTest) -> list[str]:
    place = host.folder / "environments"
    return sorted(path.name for path in place.iterdir()) if place.exists() else []


def bundle() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("main.py", "import tinyone\n")
        archive.writestr("requirements.txt", "tinyone\n")
    return made.getvalue()


@pytest.mark.parametrize("origin", ["typed", "bundle", "script"])
def test_nothing_of_the_packages_runs_before_an_administrator_allows_them(
    tmp_path: Path, canary: Path, origin: str
) -> None:
    """Bar S17: a .pth file runs as the server's user, before anything confines it."""

    async def scenario(host: HostUnderTest) -> None:
        if origin == "bundle":
            strategy = await add(host, bundle(), file_name="pairs.zip")
        else:
            strategy = await add(host, SCRIPT.encode() if origin == "script" else b"print(1)\n")
        if origin == "typed":
            await host.environments.set_requirements(strategy, "tinyone\n", by=ASHA)
        await host.service.start(RAVI, strategy.id)
        key = await proposed_key(host, strategy)
        await host.until(
            lambda: (
                [gate.code for gate in host.service.get(RAVI, strategy.id).gates] == [NOT_ALLOWED]
            ),
            "gate",
        )
        waiting = host.service.get(RAVI, strategy.id)
        assert waiting.phase is Phase.WAITING
        assert waiting.sentence == (
            "It waits for an administrator to allow its packages, which run with the rights of"
            " this server: in the Environment card of its page, or with"
            f" “algohost environments allow {key[:12]}”."
        )
        assert (folders(host), canary.exists(), host.keeper.launches) == ([], False, [])
        await host.environments.allow(ASHA, key)
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        spec = host.keeper.specs[host.keeper.launches[0]]
        assert spec.interpreter == str(tmp_path / "environments" / key / "bin" / "python")
        assert canary.exists(), "making it has run it: that is why somebody is asked"

    play(tmp_path, scenario)


def test_what_waits_is_shown_with_its_versions_and_by_whom_it_was_allowed(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        first, second = await add(host), await add(host, name="Other")
        key = await proposed_key(host, first)
        await settled(host, second)
        [waiting] = host.environments.waiting()
        assert waiting.packages == (("openalgo", "9.9"), ("tinyone", "1.0"))
        assert (waiting.key, waiting.wanted_by) == (key, ("Other", "Tiny"))
        await host.environments.allow(ASHA, key)
        await host.environments.allow(ASHA, key)  # twice does no harm
        assert host.environments.waiting() == []
        for strategy in (first, second):
            view = await settled(host, strategy)
            assert view.state is State.READY
            assert view.allowed is not None
            assert (view.allowed.allowed_by, view.allowed.allowed_at) == ("asha", AT)
            assert "tinyone==1.0" in view.allowed.lock

    play(tmp_path, scenario)


def test_an_allowance_and_a_wait_survive_the_servers_death(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host)
        await host.service.start(RAVI, strategy.id)
        key = await proposed_key(host, strategy)
        await host.kill_and_restart()
        assert await proposed_key(host, strategy) == key
        await host.environments.allow(ASHA, key)
        await host.kill_and_restart()
        await host.until(lambda: len(host.keeper.launches) == 1, "launched")
        view = host.environments.view(strategy)
        assert view.allowed is not None
        assert view.allowed.allowed_by == "asha"

    play(tmp_path, scenario)


def test_other_packages_are_asked_for_anew(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host)
        first = await proposed_key(host, strategy)
        await host.environments.allow(ASHA, first)
        assert (await settled(host, strategy)).state is State.READY
        put_wheel(tmp_path, "2.0")
        await host.environments.make_again(strategy)
        second = await proposed_key(host, strategy)
        assert second != first
        with pytest.raises(Conflict, match="changed since you looked"):
            await host.environments.allow(ASHA, first)
        await host.environments.set_requirements(strategy, "tinyone==1.0\n", by=ASHA)
        view = await settled(host, strategy)
        assert view.state is State.READY, "what was allowed once stays allowed"
        assert view.facts is not None
        assert view.facts.key == first

    play(tmp_path, scenario)


def test_only_an_administrator_allows_and_their_own_need_nothing(
    tmp_path: Path, canary: Path
) -> None:
    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host)
        key = await proposed_key(host, strategy)
        with pytest.raises(Forbidden, match="Only an administrator"):
            await host.environments.allow(RAVI, key)
        await host.environments.make_again(strategy)
        assert await proposed_key(host, strategy) == key
        assert not canary.exists()
        own = await add(host, owner=ASHA, name="Own")
        assert (await settled(host, own)).state is State.READY
        still = host.environments.view(strategy)
        assert still.state is State.NOT_ALLOWED, "made for an administrator is not allowed for all"
        with pytest.raises(Unavailable, match="waits for an administrator"):
            await host.environments.interpreter(strategy, RunId("r"))

    play(tmp_path, scenario)


def test_the_files_that_were_allowed_are_the_only_ones_that_are_installed(
    tmp_path: Path,
) -> None:
    """Another file under the same name and version, when the environment has to be made again."""

    async def scenario(host: HostUnderTest) -> None:
        strategy = await add(host)
        key = await proposed_key(host, strategy)
        await host.environments.allow(ASHA, key)
        await settled(host, strategy)
        place = tmp_path / "environments" / key
        shutil.rmtree(place)
        await host.environments.closed(strategy)
        assert (await settled(host, strategy)).state is State.READY, "the same needs no asking"
        shutil.rmtree(place)
        shutil.rmtree(tmp_path / "uv-cache")
        put_wheel(tmp_path, "1.0", "EVIL = True\n")
        await host.environments.closed(strategy)
        view = await settled(host, strategy)
        assert view.state is State.FAILED
        assert "Hash mismatch" in view.error
        assert folders(host) == []

    play(tmp_path, scenario)


def test_even_where_building_is_allowed_resolving_builds_nothing_of_other_users(
    tmp_path: Path,
) -> None:
    marker = tmp_path / "built"
    setup = f"open({str(marker)!r}, 'w')\nfrom setuptools import setup\nsetup(name='srconly')\n"
    with tarfile.open(tmp_path / "wheels" / "srconly-1.0.tar.gz", "w:gz") as archive:
        for name, text in {"setup.py": setup, "PKG-INFO": "Metadata-Version: 1.0\n"}.items():
            entry = tarfile.TarInfo(f"srconly-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))

    async def scenario(host: HostUnderTest) -> None:
        host.environments._maker._may_build = True
        strategy = await add(host, b"print(1)\n")
        await host.environments.set_requirements(strategy, "srconly\n", by=ASHA)
        view = await settled(host, strategy)
        assert (view.state, "no usable wheels" in view.error) == (State.FAILED, True)
        assert not marker.exists()

    play(tmp_path, scenario)
