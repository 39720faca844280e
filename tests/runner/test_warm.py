"""What a zygote does before it forks, each time in an interpreter of its own."""

import json
import subprocess
import sys

import pytest

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
    }  # fmt: skip
    assert expected == json.loads(said)
