"""One server on one data directory, and folders that cannot be used."""

import subprocess
import sys
from pathlib import Path

import pytest

from algohost.cli.rundir import RunDir
from algohost.domain.errors import Conflict, Invalid

HOLD = """
import sys
from pathlib import Path
from algohost.cli.rundir import RunDir
with RunDir(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "data")
    run_dir.make()
    assert run_dir.data_dir.stat().st_mode & 0o777 == 0o700
    assert run_dir.path.stat().st_mode & 0o777 == 0o700


def test_a_second_server_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.make()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    with holder, holder.stdin:
        assert holder.stdout.readline() == "held\n"
        assert run_dir.is_held()
        with pytest.raises(Conflict) as refusal, run_dir.locked():
            pass
        assert refusal.value.details == {"pid": holder.pid}
        assert f"process {holder.pid}" in refusal.value.message


def test_the_lock_of_a_killed_server_is_free_at_once(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.make()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
        holder.wait()
        assert not run_dir.is_held()
        with run_dir.locked():
            pass


def test_looking_whether_a_server_runs_makes_nothing(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "none")
    assert not run_dir.is_held()
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid) as refusal:
        RunDir(tmp_path / "file" / "data").make()
    assert f"{tmp_path / 'file' / 'data'} cannot be written" in refusal.value.message
    assert "--data-dir" in refusal.value.message


def test_a_path_too_long_for_a_socket_goes_over_tcp(tmp_path: Path) -> None:
    assert RunDir(Path("/short")).speaks_unix
    assert not RunDir(tmp_path / ("x" * 100)).speaks_unix
