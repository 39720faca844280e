"""``python -m algohost.agent --state-dir DIR``: runs the agent of that folder."""

import argparse
import contextlib
import ctypes
import logging
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import Final, NoReturn, cast

from algohost.agent import transport
from algohost.agent.core import Agent, Settings
from algohost.agent.loop import Loop
from algohost.runner import slices
from algohost.runner.system import system

ALREADY_THERE: Final = 3
"""The exit code of an agent whose folder another one owns."""
_SET_DUMPABLE, _SET_NAME, _SET_CHILD_SUBREAPER = 4, 15, 36
_LOCK_NAME: Final = "agent.lock"
_FOLDER_LOOK_SECONDS: Final = 2.0
_LARGEST_LOG_BYTES: Final = 4 << 20


def main(_search_path: list[str] | None = None) -> NoReturn:
    """Runs an agent until it is told to leave."""
    options = _options()
    state_dir = Path(options.state_dir).absolute()
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    state_dir.chmod(0o700)
    (state_dir / "exits").mkdir(mode=0o700, exist_ok=True)
    os.chdir(state_dir)
    if options.background:
        _go_to_background(state_dir / "agent.log")
    else:
        system.lead_group()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    lock = os.open(_LOCK_NAME, os.O_RDWR | os.O_CREAT | system.FILE_FLAGS, 0o600)
    if not system.try_lock(lock):
        logging.getLogger(__name__).warning("agent_there_already state_dir=%r", str(state_dir))
        sys.exit(ALREADY_THERE)
    _prepare_process()
    _serve(
        Settings(
            state_dir=state_dir,
            transport=cast("transport.Kind", options.transport),
            is_warm_at_start=options.warm,
            zygote_patience_seconds=options.zygote_patience_seconds,
            compact_above_bytes=options.compact_above_bytes,
        )
    )
    os._exit(0)  # nothing is left to tear down, and imports need not be


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="algohost.agent", description=__doc__)
    parser.add_argument("--state-dir", required=True, help="folder of journal and socket")
    parser.add_argument("--background", action="store_true", help="detach; log to agent.log")
    parser.add_argument("--warm", action="store_true", help="start the zygote at once")
    parser.add_argument("--transport", choices=("unix", "tcp"), default=transport.default_kind())
    parser.add_argument("--zygote-patience-seconds", type=float, default=60.0)
    parser.add_argument("--compact-above-bytes", type=int, default=4 << 20)
    return parser.parse_args()


def _go_to_background(log_path: Path) -> None:
    """A session of its own, nobody's child, its words in a file that cannot grow for ever."""
    if log_path.exists() and log_path.stat().st_size > _LARGEST_LOG_BYTES:
        log_path.replace(log_path.with_name("agent.log.1"))
    system.leave_parent()
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)


def _prepare_process() -> None:
    """Orphans of dead zygotes come to us; nobody of the same user looks into our memory."""
    slices.ask_for(slices.PROMPT)
    if sys.platform != "linux":
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    prctl(_SET_NAME, b"algohost-agent", 0, 0, 0)


def _serve(settings: Settings) -> None:
    loop = Loop()
    agent = Agent(settings, loop, system.OwnProcesses())
    wake_read, wake_write = socket.socketpair()  # not a pipe: Windows selects sockets only
    for end in (wake_read, wake_write):
        end.setblocking(False)  # noqa: FBT003 - its own
    signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
    system.set_agent_signals()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())

    def wake(_events: int) -> None:
        wake_read.recv(4096)
        agent.reap()

    loop.watch(wake_read.fileno(), selectors.EVENT_READ, wake)
    agent.open()
    _leave_with_the_folder(loop, agent)
    with contextlib.suppress(AttributeError, OSError, TypeError):  # gives back what importing used
        ctypes.CDLL(None).malloc_trim(0)
    loop.run()
    agent.close()


def _leave_with_the_folder(loop: Loop, agent: Agent) -> None:
    """An agent whose folder was deleted can be reached by nobody: it stays for its runs only."""
    if not Path(_LOCK_NAME).exists() and not agent.has_live_runs:
        loop.stop()
    loop.later(_FOLDER_LOOK_SECONDS, lambda: _leave_with_the_folder(loop, agent))


if __name__ == "__main__":
    main()
