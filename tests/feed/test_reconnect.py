"""A server that is restarted under a client: the openalgo client itself, 1.x and 2.x."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from algohost.web.feed import FeedServer
from tests.api.served import RUN_TOKEN, Served
from tests.feed import reconnect_script

PYTHONS = [sys.executable, *filter(None, [os.environ.get("ALGOHOST_OTHER_CLIENT")])]


def restart(server: Served) -> None:
    """Stops the feed and starts another one at its port."""
    port = server.feed.port
    server.wait_for(server.feed.stop())
    server.feed = FeedServer(server.host, port=port)
    server.wait_for(server.feed.start())


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: Path(path).name)
def test_a_client_hears_ticks_and_orders_again_after_the_server_was_restarted(
    server: Served, python: str
) -> None:
    words = [python, reconnect_script.__file__, server.url, server.feed_url, RUN_TOKEN]
    done = threading.Event()

    def tick_on() -> None:
        while not done.wait(0.2):
            server.tick()

    ticking = threading.Thread(target=tick_on)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "READY\n"
        restart(server)
        assert script.stdout.readline() == "CUT\n"
        ticking.start()
        try:
            said = json.loads(script.stdout.readlines()[-1])
        finally:
            done.set()
            ticking.join()
    assert said["came"]
    if said["version"].startswith("2."):
        assert said["orders"][-1] == "complete"
