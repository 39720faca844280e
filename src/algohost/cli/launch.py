"""``algohost up`` and ``algohost down``: the server in the background."""

import asyncio
import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from algohost import locate
from algohost.cli.console import NotReachable, answer, note
from algohost.cli.control_client import Control, running_ports
from algohost.cli.rundir import RunDir
from algohost.domain.errors import AlgohostError, Conflict, Unavailable
from algohost.runner.system import system

START_SECONDS: Final = 60.0
DOWN_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.02
_MOST_LOG_BYTES: Final = 10 * 1024 * 1024
_REFUSAL: Final = "algohost: "


def up(
    flags: Mapping[str, object], *, data_dir: Path | None, config: Path | None, as_json: bool
) -> int:
    """Starts a server unless one runs; returns when its page answers.

    Raises ``Conflict`` with what the server refused with, ``Unavailable`` where it does not
    answer in time.
    """
    place = locate.data_dir(data_dir, config=config)
    control = Control(place)
    found = _running(control)
    if found is not None:
        _refuse_other_settings(flags, found)
        answer(as_json, {**found, "started": False}, *_where(found, "A server already runs."))
        return 0
    given = {name: value for name, value in flags.items() if value is not None}
    argument = json.dumps(
        {
            "flags": {**given, "data_dir": str(place)},
            "config": str(locate.absolute(config)) if config else None,
        }
    )
    run_dir = control.run_dir
    run_dir.make()
    log_start = _make_room(run_dir.server_log)
    with run_dir.server_log.open("ab") as server_log:
        child = subprocess.Popen(  # noqa: TID251, S603 - the server itself, which no agent owns
            [sys.executable, "-m", "algohost.cli.background", argument],
            stdin=subprocess.DEVNULL,
            stdout=server_log,
            stderr=server_log,
            **system.DETACHED,
        )
    found = _wait_for_page(control, child, log_start)
    if found is None:  # another 'up' was faster
        return up(flags, data_dir=data_dir, config=config, as_json=as_json)
    answer(as_json, {**found, "started": True}, *_where(found, "The server runs."))
    return 0


def down(everything: bool, *, data_dir: Path | None, config: Path | None, as_json: bool) -> int:
    """Ends the server; with ``everything`` each run and the agent as well.

    Nothing to end is no error. Raises ``Conflict`` where something does not end in time.
    """
    place = locate.data_dir(data_dir, config=config)
    control = Control(place)
    done: dict[str, Any] = {"server_stopped": False, "stopped": [], "agent_stopped": False}
    if control.run_dir.is_held():
        seconds = 700.0 if everything else DOWN_SECONDS
        said = control.ask("POST", "/v1/down", {"runs": everything}, timeout_seconds=seconds)
        _wait_until_gone(control.run_dir)
        done.update(server_stopped=True, stopped=said["stopped"])
    if everything:
        done["agent_stopped"] = asyncio.run(_end_agent(place))
    answer(as_json, done, *_what_ended(done, place))
    return 0


def _refuse_other_settings(flags: Mapping[str, object], found: Mapping[str, Any]) -> None:
    """What was asked for must be what runs, or the asker would believe it."""
    runs = {**running_ports(found), "market": found["market"]}
    for name, value in flags.items():
        if value is not None and name in runs and str(value) != str(runs[name]):
            raise Conflict(
                f"A server runs already, with {name.replace('_', ' ')} {runs[name]};"
                " end it with 'algohost down' to start it with other settings.",
                code="OTHER_SETTINGS",
            )


def _running(control: Control) -> dict[str, Any] | None:
    """The server that is there already, waiting for one that is on its way up or down."""
    deadline = time.monotonic() + START_SECONDS
    while control.run_dir.is_held():
        with contextlib.suppress(NotReachable):
            return control.ask("GET", "/v1/server", timeout_seconds=5)
        if time.monotonic() > deadline:
            return control.ask("GET", "/v1/server", timeout_seconds=5)
        time.sleep(_LOOK_SECONDS)
    return None


def _wait_for_page(
    control: Control,
    child: "subprocess.Popen[bytes]",  # noqa: TID251
    log_start: int,
) -> dict[str, Any] | None:
    """What the server says of itself; None where it gave way to another one."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        code = child.poll()
        if code is not None and control.run_dir.is_held():
            return None
        if code is not None:
            raise _why_it_ended(control.run_dir, code, log_start)
        with contextlib.suppress(AlgohostError):
            found = control.ask("GET", "/v1/server", timeout_seconds=5)
            if _is_ours(found, child.pid) and _page_answers(str(found["web"])):
                return found
        time.sleep(_LOOK_SECONDS)
    message = (
        f"The server was started (process {child.pid}) and does not answer after "
        f"{START_SECONDS:.0f} s; look at {control.run_dir.server_log}."
    )
    raise Unavailable(message, code="NO_ANSWER")


def _is_ours(found: Mapping[str, Any], pid: int) -> bool:
    """Whether the server that answers is the one that was started as process ``pid``."""
    # the python.exe of a Windows environment is a launcher, whose pid is not the server's
    return sys.platform == "win32" or bool(found["pid"] == pid)


def _page_answers(web: str) -> bool:
    address = urlsplit(web)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        connection.request("GET", "/login")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _why_it_ended(run_dir: RunDir, code: int, log_start: int) -> AlgohostError:
    """What the server said last, from its log."""
    with run_dir.server_log.open("rb") as file:
        file.seek(log_start)
        lines = file.read(65_536).decode(errors="replace").splitlines()
    refusals = [line for line in lines if line.startswith(_REFUSAL)]
    if refusals:
        return Conflict(refusals[-1].removeprefix(_REFUSAL), code="REFUSED")
    for line in lines[-10:]:
        note(line)
    return Unavailable(
        f"The server ended with code {code} before it answered; its log is {run_dir.server_log}.",
        code="ENDED",
    )


def _make_room(server_log: Path) -> int:
    """Moves a long log aside; returns where the next line will begin."""
    try:
        size = server_log.stat().st_size
    except FileNotFoundError:
        return 0
    if size <= _MOST_LOG_BYTES:
        return size
    server_log.replace(server_log.with_name("server.log.1"))
    return 0


def _wait_until_gone(run_dir: RunDir) -> None:
    deadline = time.monotonic() + DOWN_SECONDS
    while run_dir.is_held():
        if time.monotonic() > deadline:
            message = (
                f"The server (process {run_dir.holder_pid()}) was asked to end and still lives "
                f"after {DOWN_SECONDS:.0f} s; look at {run_dir.server_log}."
            )
            raise Conflict(message, code="STILL_RUNNING")
        time.sleep(_LOOK_SECONDS)


async def _end_agent(place: Path) -> bool:
    """Ends the agent with every run it still has; False where there is none."""
    from algohost.agent.client import AgentUnavailable
    from algohost.agent.daemon import dismiss
    from algohost.host.launch import Folders

    try:
        await dismiss(Folders(data=place).agent, stop_runs=True, timeout_seconds=None)
    except AgentUnavailable:
        return False
    return True


def _where(found: Mapping[str, Any], first: str) -> list[str]:
    lines = [
        first,
        f"  pages  {found['web']}",
        f"  feed   {found['feed']}",
        f"  data   {found['data_dir']}",
    ]
    if found.get("secrets_trouble"):
        lines += ["", str(found["secrets_trouble"])]
    if found.get("setup_link"):
        lines += ["", "Make the administrator with this link; it works once, for 24 hours:"]
        lines += [f"  {found['setup_link']}"]
    return lines


def _what_ended(done: Mapping[str, Any], place: Path) -> list[str]:
    if not done["server_stopped"] and not done["agent_stopped"]:
        return [f"Nothing runs on {place}."]
    lines = []
    if done["server_stopped"]:
        lines.append("The server has ended.")
    if done["stopped"]:
        lines.append(f"Stopped: {', '.join(done['stopped'])}.")
    if done["agent_stopped"]:
        lines.append("The agent has ended, and every run with it.")
    return lines
