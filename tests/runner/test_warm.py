"""What a zygote does before it forks, each time in an interpreter of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from algohost.runner import bootstrap

_WARM = """
import json, os, sys, threading
from algohost.runner import client, warm
problems = warm.warm()
import httpx, openalgo.orders, openalgo.data
print(json.dumps({
    "problems": problems,
    "threads": threading.active_count(),
    "is restored": openalgo.orders.httpx is httpx and openalgo.data.httpx is httpx,
    "has a spare client": len(client._spare),
    "packages of a command line": sorted({"rich", "click", "pygments"} & sys.modules.keys()),
    "sockets": [n for n in os.listdir("/proc/self/fd")
                if os.path.exists(f"/proc/self/fd/{n}")
                and os.readlink(f"/proc/self/fd/{n}").startswith("socket")],
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a zygote needs Linux")
def test_everything_is_exercised_and_nothing_is_left_behind() -> None:
    """A call of the client that fails is a problem: it would share no page that matters."""
    said = subprocess.run(
        [sys.executable, "-c", _WARM], capture_output=True, text=True, check=True
    ).stdout
    expected = {
        "problems": [], "threads": 1, "is restored": True, "has a spare client": 1, "sockets": [],
        "packages of a command line": [],
    }  # fmt: skip
    assert expected == json.loads(said)


def test_what_was_left_out_can_be_imported_by_a_script() -> None:
    code = "from algohost.runner import warm; warm.warm(('httpx',)); import httpx._main, rich"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="a zygote needs Linux")
def test_a_zygote_that_had_to_compile_begins_again_from_the_bytecode(tmp_path: Path) -> None:
    """Compiling scatters memory that all its runs would pay for; it is the same process."""
    command = bootstrap.command(None, "algohost.runner.zygote", "zygote.sock", "journal.jsonl", "0")
    env = {
        **bootstrap.zygote_environment(),
        "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode"),
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    for times in (2, 1):
        with subprocess.Popen(
            command, cwd=tmp_path, env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            said, imported = process.communicate()
        assert {"ready": process.pid, "problems": []} == json.loads(said)
        names = [line.rpartition("|")[2].strip() for line in imported.splitlines()]
        assert times == names.count("pandas.core.api")
