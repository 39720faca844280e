"""How a process becomes a run: the same steps in a fork of the zygote and in a fresh Python.

Order: new session, own signals, own mark, log and descriptors, folder, script read,
confinement, environment, streams, ``__main__``. Until the last step a failure is reported as
a sentence and no line of the script has run; the status descriptor is closed on success.
"""

import ctypes
import gc
import locale
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from algohost.runner import client, records, script, stream
from algohost.runner.messages import LaunchSpec
from algohost.runner.processes import errno_words, exit_pair, set_mark
from algohost.runner.request import READY, SETUP_FAILED, Request

_SET_DUMPABLE, _SET_NAME, _NO_NEW_PRIVS = 4, 15, 38


class SetupError(Exception):
    """A run could not be set up; the sentence says at which step and why."""


def become(request: bytes, status: int, search_path: list[str]) -> NoReturn:
    """Turns this process into the run. ``search_path`` is ``sys.path`` without a script's folder.

    Never returns. Writes ``READY`` or a sentence of failure to the descriptor ``status``.
    """
    record = ""
    try:
        wanted = Request.from_bytes(request)
        record = wanted.record
        source = _set_up(wanted, status, search_path)
    except BaseException as error:  # noqa: BLE001 - every failure here is a failure to start
        sentence = str(error) if isinstance(error, SetupError) else f"Could not start: {error!r}."
        if record:
            records.write(record, records.Record(code=SETUP_FAILED, error=sentence))
        _say(status, sentence.encode())
        os._exit(SETUP_FAILED)
    _say(status, READY)
    os.close(status)

    def on_end(ended: int) -> None:
        code, number = exit_pair(ended)
        records.write(record, records.Record(code=code, signal=number))

    script.run(wanted.spec.script, source, on_end)


def _set_up(wanted: Request, status: int, search_path: list[str]) -> bytes:
    spec = wanted.spec
    if os.getsid(0) != os.getpid():
        with _step("begin a session of its own"):
            os.setsid()
    _reset_signals()
    _shut_off(spec.run_id)
    with _step("mark the process"):
        set_mark(wanted.mark)
    _take_descriptors(spec, status)
    os.umask(0o077)
    with _step(f"enter the working folder {spec.cwd}"):
        os.chdir(spec.cwd)
    with _step(f"read the script {spec.script}"), open(spec.script, "rb") as file:
        source = file.read()
    with _step("confine the process"):
        _confine(spec)
    _take_environment(spec)
    _take_interpreter(spec, search_path)
    client.accelerate(spec.accelerate)
    return source


def _confine(spec: LaunchSpec) -> None:
    """The one place where limits, Landlock and seccomp are put on, before any user code.

    Here the process has its final session, mark, descriptors and working folder, has read the
    script, and has written nothing of its environment yet. What is put on must leave the
    exit record writable.
    """
    del spec


@contextmanager
def _step(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SetupError(f"Could not {what}: {errno_words(error)}.") from error
    except ValueError as error:
        raise SetupError(f"Could not {what}: {error}.") from error


def _say(status: int, text: bytes) -> None:
    try:
        os.write(status, text)
    except OSError:  # the agent is gone; the record tells its successor
        return


def _reset_signals() -> None:
    """Every signal as Python has it at its start, none blocked."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):  # the C library's own
            continue
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _shut_off(run_id: str) -> None:
    """No new privileges, and no look from outside into memory or environment."""
    if sys.platform != "linux":
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for option, value in ((_NO_NEW_PRIVS, 1), (_SET_DUMPABLE, 0)):
        with _step("give up privileges"):
            if prctl(option, value, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")
    prctl(_SET_NAME, f"run-{run_id}"[:15].encode(), 0, 0, 0)


def _take_descriptors(spec: LaunchSpec, status: int) -> None:
    """0 at end of file, 1 and 2 the log, the status descriptor, and no other."""
    with _step(f"open the log {spec.log_path}"):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(spec.log_path, flags, 0o640)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target, inheritable=True)
    highest = min(os.sysconf("SC_OPEN_MAX"), 1 << 20)
    os.closerange(3, status)
    os.closerange(status + 1, highest)


def _take_environment(spec: LaunchSpec) -> None:
    os.environ.clear()
    os.environ.update(spec.env)
    time.tzset()
    with suppress(locale.Error):  # Python stays in the C locale, too
        locale.setlocale(locale.LC_CTYPE, "")
    if spec.env.get("PYTHONDONTWRITEBYTECODE"):
        sys.dont_write_bytecode = True


def _take_interpreter(spec: LaunchSpec, search_path: list[str]) -> None:
    """Everything of the interpreter that a fresh one would have otherwise."""
    sys.stdin = sys.__stdin__ = stream.empty_input()  # type: ignore[misc]
    out, err = stream.stamped_streams() if spec.stamp else stream.plain_streams()
    sys.stdout = sys.__stdout__ = out  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = err  # type: ignore[misc]
    sys.argv[:] = [spec.script, *spec.args]
    sys.orig_argv[:] = [sys.executable, *sys.argv]
    folder = os.path.dirname(os.path.realpath(spec.script))
    sys.path[:] = search_path if sys.flags.safe_path else [folder, *search_path]
    _renew_modules()
    gc.enable()


def _renew_modules() -> None:
    """State that modules keep from before the fork and that must be the child's own."""
    loaded: dict[str, Any] = sys.modules
    if "numpy.random" in loaded:
        loaded["numpy.random"].seed()
    if "tempfile" in loaded:
        loaded["tempfile"].tempdir = None
    if "multiprocessing.process" in loaded:
        process = loaded["multiprocessing.process"]
        process.ORIGINAL_DIR = os.getcwd()
        process.current_process().authkey = os.urandom(32)
