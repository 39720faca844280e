"""A hosted script's unmodified client shares one connection to the addresses of its spec."""

from collections.abc import Iterator

import openalgo
import pytest

from algohost.runner.messages import Launcher
from tests.agent.driving import LAUNCHERS, Driver
from tests.runner.test_client import Server

pytestmark = pytest.mark.processes

SCRIPT = """
import sys
from openalgo import api
client = api(api_key="k", host=sys.argv[1])
for _ in range(10):
    answer = client.quotes(symbol="SBIN", exchange="NSE")
    assert answer["status"] == "success", answer
print("called")
"""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(("is_named", "connections"), [(True, 1), (False, 10)])
def test_the_client_is_pooled_where_the_spec_says_so_and_nowhere_else(
    driver: Driver, server: Server, launcher: Launcher, is_named: bool, connections: int
) -> None:
    run_id = f"calls-{launcher}-{connections}"
    accelerate = (server.address,) if is_named else ()
    args = (f"http://{server.address}",)
    driver.start(run_id, SCRIPT, launcher=launcher, accelerate=accelerate, args=args)
    end = driver.ended(run_id).exit
    assert end is not None
    assert (end.code, driver.log(run_id).count("called")) == (0, 1)
    assert len(server.seen) == 10
    pools_by_itself = int(openalgo.__version__.split(".")[0]) >= 2
    assert server.connections == (1 if pools_by_itself else connections)
