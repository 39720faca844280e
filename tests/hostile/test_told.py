"""What is told of a run's confinement is what is put on, on machines that differ from this one."""

import resource
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("confinement needs Linux", allow_module_level=True)

from algohost.cli import exposure
from algohost.cli.doctor import Health, examine
from algohost.cli.serving import serve
from algohost.domain.errors import Invalid
from algohost.runner import confine
from algohost.runner.bounds import Confinement, Limits
from algohost.runner.confine import landlock, limits, linux, places, seccomp, spaces, syscalls
from algohost.settings import load


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """``apply`` on a pretended machine, where this process stays as it is."""
    done: list[str] = []

    def step(name: str, answer: object = None) -> object:
        def take(*_: object) -> object:
            done.append(name)
            return answer

        return take

    monkeypatch.setattr(spaces, "why_threads_are_not_counted", lambda: None)
    monkeypatch.setattr(spaces, "enter_user_namespace", step("namespace"))
    monkeypatch.setattr(spaces, "own_shared_memory", step("shared memory", answer=True))
    monkeypatch.setattr(spaces, "hide_sockets", step("sockets", answer=True))
    monkeypatch.setattr(spaces, "drop_capabilities", step("capabilities"))
    monkeypatch.setattr(limits, "_limit", lambda _which, value: value)
    monkeypatch.setattr(syscalls, "prctl", lambda *_: 0)
    monkeypatch.setattr(linux, "_hold_own_proc_folder", lambda: None)
    monkeypatch.setattr(landlock, "restrict", lambda *_, **__: done.append("restrict"))
    monkeypatch.setattr(seccomp, "install", step("filter"))
    monkeypatch.setattr(landlock, "abi", lambda: 7)
    monkeypatch.setattr(seccomp, "is_offered", lambda: True)
    return done


def told(tmp_path: Path, wanted: Confinement, **parts: int) -> dict[str, tuple[bool, str]]:
    run = confine.Run(
        script=str(tmp_path / "code" / "main.py"), work=str(tmp_path / "work"),
        record=str(tmp_path / "agent" / "exits" / "r"), search_path=(str(tmp_path / "lib"),),
        confinement=wanted, limits=Limits(**parts),
    )  # fmt: skip
    return {one.name: (one.is_on, one.how) for one in confine.apply(run)}


@pytest.mark.parametrize(
    ("may_start", "threads", "expected"),
    [
        (False, 0, ["capabilities", "restrict", "filter"]),
        (False, 9, ["namespace", "capabilities", "restrict", "filter"]),
        (True, 0, ["namespace", "shared memory", "sockets", "capabilities", "restrict", "filter"]),
        (True, 9, ["namespace", "shared memory", "sockets", "capabilities", "restrict", "filter"]),
    ],
)
def test_mounts_of_its_own_do_not_hang_on_the_limit_of_threads(
    steps: list[str], tmp_path: Path, may_start: bool, threads: int, expected: list[str]
) -> None:
    """S17: an ordinary user gets neither without a user namespace."""
    said = told(tmp_path, Confinement(may_start_processes=may_start), threads=threads)
    assert steps == expected
    assert said["threads"][0] is (threads > 0)


def test_a_run_that_may_start_processes_says_what_it_can_reach_then(
    steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S17: Unix sockets by path, and listening."""
    wanted = Confinement(may_start_processes=True)
    by_path = (
        "Unix sockets of other programs can be reached by path: in /tmp, /var/lib, home folders."
    )
    assert told(tmp_path, wanted)["files"] == (True, f"Landlock ABI 7. {by_path}")
    assert "listen on a port of the kernel's choice" in told(tmp_path, wanted)["network"][1]
    anywhere = Confinement(may_start_processes=True, ports=None)
    assert "listen on a port of the kernel's choice" in told(tmp_path, anywhere)["network"][1]
    monkeypatch.setattr(spaces, "hide_sockets", lambda _needed: False)
    shared = "/run is shared with other programs, and so are their sockets there."
    assert told(tmp_path, wanted)["files"][1].endswith(shared)
    plain = told(tmp_path, Confinement())
    assert plain["files"] == (True, "Landlock ABI 7.")
    assert "listen" not in plain["network"][1]
    assert steps


def test_a_run_that_can_read_the_servers_files_is_not_called_confined(
    steps: list[str], tmp_path: Path
) -> None:
    (tmp_path / "agent").mkdir()
    run = confine.Run(
        script="/code/main.py", work="/work", record=str(tmp_path / "agent" / "exits" / "r"),
        search_path=(str(tmp_path),), confinement=Confinement(), limits=Limits(),
    )  # fmt: skip
    files = next(one for one in confine.apply(run) if one.name == "files")
    assert files.is_on is False
    assert files.how == f"The server's own files are in {tmp_path}, which every run may read."
    assert steps


def test_a_limit_is_told_as_it_is_where_the_server_has_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S6: the hard limit of the server is the most that a run can have."""
    put: dict[int, int] = {}
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (100, 100))
    monkeypatch.setattr(resource, "setrlimit", lambda which, value: put.update({which: value[0]}))
    said = {
        one.name: one.how for one in limits.put_on(Limits(open_files=4096, memory_bytes=1 << 30))
    }
    assert said["open files"] == "RLIMIT_NOFILE: 100."
    assert said["memory"] == "RLIMIT_DATA: 0 MB for each process; the server itself has no more."
    assert " 100 threads" in limits.threads(4096, None).how
    assert " 64 threads" in limits.threads(64, None).how
    assert put[resource.RLIMIT_NOFILE] == 100


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter at ``app``."""
    app = tmp_path / "app"
    (app / "data").mkdir(parents=True)
    monkeypatch.setattr(places, "interpreter_places", lambda: [str(app)])
    return app


def test_a_data_directory_that_every_run_may_read_is_refused(prefix: Path, tmp_path: Path) -> None:
    """S17: keys and database in the folder of the interpreter would be open to all."""
    data = prefix / "data"
    with pytest.raises(Invalid) as refused:
        serve({"data_dir": data}, config=None)
    sentence = refused.value.message
    assert sentence.startswith(f"The data directory {data} lies in {prefix}, which every strategy")
    assert list(data.iterdir()) == []
    found = [one for one in examine(load({"data_dir": data})) if one.name == "data directory"]
    assert [(one.health, one.sentence) for one in found] == [(Health.BROKEN, sentence)]
    (tmp_path / "link").symlink_to(data)
    assert exposure.problem_of(tmp_path / "link") is not None
    assert exposure.problem_of(tmp_path / "app-data") is None
    assert exposure.problem_of(tmp_path) is None
