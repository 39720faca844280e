"""What can be known of Windows without one: its types, and what its Python would import.

The host has never been run on Windows. These tests keep it from being broken there by what
would be seen at once: a call that its Python does not have, a module that it cannot import.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.as_on_windows import AS_ON_WINDOWS

ROOT = Path(__file__).parents[2]

IMPORTS = (
    """
import ctypes, importlib, json, os, pkgutil, signal, socket, subprocess, sys, types
import algohost

LINUX = ("algohost.runner.zygote", "algohost.runner.forks", "algohost.runner.connections",
         "algohost.runner.posix", "algohost.runner.confine.")
WINDOWS = ("algohost.runner.windows", "algohost.runner.windows_calls")

def names(but):
    found = [module.name for module in pkgutil.walk_packages(algohost.__path__, "algohost.")]
    found = [name for name in found if not name.startswith(but) and ".migrations" not in name]
    return [name for name in found if not name.endswith("__main__")] + ["algohost.agent.__main__"]

def renew():
    for name in [name for name in sys.modules if name.startswith("algohost.")]:
        del sys.modules[name]

for name in names(WINDOWS):  # what others have made is loaded as what it is on this system
    importlib.import_module(name)
renew()
"""
    + AS_ON_WINDOWS
    + """
for name in names(LINUX):
    importlib.import_module(name)

from pathlib import Path
from algohost.agent import transport, zygotes
from algohost.cli import rundir
from algohost.runner import confine
from algohost.runner.system import system
try:
    transport.connect(Path(sys.argv[1]), timeout_seconds=1)
except OSError as error:
    refusal = type(error).__name__
print(json.dumps({
    "system": system.__name__,
    "transport": transport.default_kind(),
    "refusal": refusal,
    "zygotes": zygotes.zygote_link.IS_POSSIBLE,
    "control": rundir.RunDir(Path(sys.argv[1])).speaks_unix,
    "confinement": [offer.is_on for offer in confine.offers()],
}))
"""
)


def test_the_types_hold_for_windows() -> None:
    """Every call exists in the Windows that the type checker knows, or is set apart."""
    command = [sys.executable, "-m", "mypy", "--platform", "win32", "src/algohost"]
    cache = ["--cache-dir", str(ROOT / ".mypy_cache" / "win32")]
    done = subprocess.run([*command, *cache], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the modules say of themselves where nothing of Unix can be imported or called."""
    folder = tmp_path_factory.mktemp("windows")
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_server_agent_and_command_line_are_imported_without_a_unix_module(
    found: dict[str, Any],
) -> None:
    assert found["system"] == "algohost.runner.windows"


def test_without_unix_sockets_everything_goes_over_the_loopback_with_a_token(
    found: dict[str, Any],
) -> None:
    assert (found["transport"], found["control"]) == ("tcp", False)


def test_where_no_agent_has_left_a_port_none_answers(found: dict[str, Any]) -> None:
    """An ``OSError``, as the client expects, and not a missing name."""
    assert found["refusal"] == "FileNotFoundError"


def test_nothing_of_linux_is_offered(found: dict[str, Any]) -> None:
    assert (found["zygotes"], any(found["confinement"])) == (False, False)
