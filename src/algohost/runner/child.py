"""How a process becomes a run: the same steps in a fork of the zygote and in a fresh Python.

Order: new session, own signals, own mark, log and descriptors, folder, script read,
confinement, environment, streams, ``__main__``. Until the last step a failure is reported as
a sentence and no line of the script has run; the status descriptor is closed on success.
"""

import ctypes
import gc
import locale
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from algohost.runner import (
    client,
    confine,
    plain_stream,
    records,
    script,
    standing,
    stream,
    whereabouts,
)
from algohost.runner.bounds import Enforced
from algohost.runner.journal import Fact, Journal
from algohost.runner.mask import mask_of
from algohost.runner.messages import LaunchSpec
from algohost.runner.processes import errno_words, exit_pair
from algohost.runner.reasons import Reason
from algohost.runner.request import SETUP_FAILED, Request, ready, ready_fact
from algohost.runner.system import system

_SET_DUMPABLE, _SET_NAME, _NO_NEW_PRIVS = 4, 15, 38
_TWISTER_WORDS = 624


class SetupError(Exception):
    """A run could not be set up; the sentence says at which step and why."""


def become(request: bytes, status: int, search_path: list[str]) -> NoReturn:
    """Turns this process into the run. ``search_path`` is ``sys.path`` without a script's folder.

    Never returns. Writes ``request.ready`` or a sentence of failure to the descriptor ``status``.
    """
    record = ""
    try:
        wanted = Request.from_bytes(request)
        record = wanted.record
        source, enforced, is_written = _set_up(wanted, status, search_path)
    except BaseException as error:  # noqa: BLE001 - every failure here is a failure to start
        sentence = str(error) if isinstance(error, SetupError) else f"Could not start: {error!r}."
        if record:
            records.write(record, records.Record(code=SETUP_FAILED, error=sentence))
        _say(status, sentence.encode())
        os._exit(SETUP_FAILED)
    _say(status, ready(enforced, is_written=is_written))
    os.close(status)

    main_pid = os.getpid()

    def on_end(ended: int, reason: Reason | None) -> None:
        if os.getpid() == main_pid:  # not a fork of the script's own that ran to its end
            records.write(record, _record_of(ended, reason, wanted.spec))

    script.run(wanted.spec.script, source, on_end)


def _set_up(
    wanted: Request, status: int, search_path: list[str]
) -> tuple[bytes, tuple[Enforced, ...], bool]:
    spec = wanted.spec
    with _step("begin a session of its own"):
        system.lead_session()
    system.reset_signals()
    _stand_back(wanted.group)
    _shut_off(spec.run_id)
    with _step("mark the process"):
        system.set_mark(wanted.mark)
    _take_descriptors(spec, status)
    whereabouts.offer(wanted.record)  # before confinement, which shuts the folder
    os.umask(0o077)
    with _step(f"enter the working folder {spec.cwd}"):
        os.chdir(spec.cwd)
    with _step(f"read the script {spec.script}"), open(spec.script, "rb") as file:
        source = file.read()
    journal = _Memory(wanted.record)
    with _step("confine the process"):
        enforced = _confine(wanted, search_path)
    _take_environment(spec)
    _take_interpreter(spec, search_path)
    client.accelerate(spec.accelerate)
    return source, enforced, journal.keep(ready_fact(spec.run_id, enforced))


class _Memory:
    """The journal, opened before confinement shuts it: what holds a run is on disk before its
    first line, whatever becomes of the agent meanwhile. Where that fails, the agent does it."""

    def __init__(self, record: str) -> None:
        self._journal = Journal(records.journal_path(record))
        self._descriptor: int | None = None
        if system.REPLACES_OPEN_FILES:  # elsewhere the agent writes alone
            with suppress(OSError):
                self._descriptor = self._journal.hold()

    def keep(self, fact: Fact) -> bool:
        """Whether the fact is in the journal. Nothing stays open."""
        if self._descriptor is None:
            return False
        try:
            return self._journal.append_to(self._descriptor, fact)
        except OSError:
            return False
        finally:
            os.close(self._descriptor)


def _record_of(ended: int, reason: Reason | None, spec: LaunchSpec) -> records.Record:
    code, number = exit_pair(ended)
    token = spec.env.get("OPENALGO_API_KEY", "")
    reason = reason.beside(spec.limits) if reason else None
    return records.Record(
        code=code,
        signal=number,
        reason=reason.kept([*spec.secrets.values(), token]) if reason else None,
        is_out_of_memory=reason is not None and reason.is_out_of_memory,
    )


def _confine(wanted: Request, search_path: list[str]) -> tuple[Enforced, ...]:
    """The one place where limits, Landlock and seccomp are put on, before any user code.

    Here the process has its final session, mark, descriptors and working folder, has read the
    script, and has written nothing of its environment yet. Of what is outside its working
    folder it can change one thing from now on: the file of its own exit record.
    """
    spec = wanted.spec
    if spec.confinement is not None:
        records.make_room(wanted.record)
    return confine.apply(places_of(wanted, search_path))


def places_of(wanted: Request, search_path: list[str]) -> confine.Run:
    """What confinement is told of a run."""
    return confine.Run(
        script=wanted.spec.script,
        work=wanted.spec.cwd,
        record=wanted.record,
        search_path=tuple(search_path),
        confinement=wanted.spec.confinement,
        limits=wanted.spec.limits,
    )


def _stand_back(group: str) -> None:
    """Must come before the process is shut to its own user."""
    if group:
        with _step(f"enter the control group {group}"), open(f"{group}/cgroup.procs", "w") as file:
            file.write("0")
    standing.step_back()


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


def _shut_off(run_id: str) -> None:
    """No new privileges, and no look from outside into memory or environment."""
    if sys.platform != "linux":
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for option, value in ((_NO_NEW_PRIVS, 1), (_SET_DUMPABLE, 0)):
        with _step("give up privileges"):
            if prctl(option, value, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")
    name_process(f"run-{run_id}")


def name_process(name: str) -> None:
    """What lists of processes call this one: the first 15 characters of ``name``."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_NAME, name[:15].encode(), 0, 0, 0)


def _take_descriptors(spec: LaunchSpec, status: int) -> None:
    """0 at end of file, 1 and 2 the log, the status descriptor, and no other."""
    with _step(f"open the log {spec.log_path}"):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | system.FILE_FLAGS
        log = os.open(spec.log_path, flags, 0o640)
    null = os.open(os.devnull, os.O_RDONLY | system.FILE_FLAGS)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target, inheritable=True)
    system.close_descriptors(but=status)


def _take_environment(spec: LaunchSpec) -> None:
    kept = {name: os.environ[name] for name in system.SYSTEM_VARIABLES if name in os.environ}
    clear_environment()
    os.environ.update({**kept, **spec.env, **spec.secrets})
    system.renew_time_zone()
    with suppress(locale.Error):  # Python stays in the C locale, too
        locale.setlocale(locale.LC_CTYPE, "")
    if spec.env.get("PYTHONDONTWRITEBYTECODE"):
        sys.dont_write_bytecode = True


def clear_environment() -> None:
    """Leaves no variable."""
    for name in [*os.environ]:  # in half the time of clear()
        del os.environ[name]


def _take_interpreter(spec: LaunchSpec, search_path: list[str]) -> None:
    """Everything of the interpreter that a fresh one would have otherwise."""
    sys.stdin = sys.__stdin__ = plain_stream.empty_input()  # type: ignore[misc]
    mask = mask_of([*spec.secrets.values(), spec.env.get("OPENALGO_API_KEY", "")])
    is_ours = spec.stamp or spec.secrets  # a secret is masked whatever else is wanted
    out, err = stream.stamped_streams(mask=mask) if is_ours else plain_stream.plain_streams()
    sys.stdout = sys.__stdout__ = out  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = err  # type: ignore[misc]
    sys.argv[:] = [spec.script, *spec.args]
    sys.orig_argv[:] = [sys.executable, *sys.argv]
    folder = os.path.dirname(os.path.realpath(spec.script))
    sys.path[:] = search_path if sys.flags.safe_path else [folder, *search_path]
    renew_modules()
    gc.enable()


def renew_modules() -> None:
    """State that modules keep from before the fork and that must be the child's own."""
    loaded: dict[str, Any] = sys.modules
    if "numpy.random" in loaded:
        # as good as seed(), and quicker: all of the generator's state is drawn anew
        words = loaded["numpy"].frombuffer(os.urandom(4 * _TWISTER_WORDS), "uint32")
        loaded["numpy.random"].set_state(("MT19937", words, _TWISTER_WORDS))
    if "tempfile" in loaded:
        loaded["tempfile"].tempdir = None
    if "multiprocessing.process" in loaded:
        process = loaded["multiprocessing.process"]
        process.ORIGINAL_DIR = os.getcwd()
        process.current_process().authkey = os.urandom(32)
