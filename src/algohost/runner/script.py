"""Running a file as ``python file.py`` would: same ``__main__``, tracebacks and way to end.

``runpy`` is not used: it puts the earlier ``__main__`` back when the script ends, and then
pickles, threads and exit functions see the wrong module.
"""

import atexit
import builtins
import gc
import io
import os
import signal
import sys
import threading
import traceback
import types
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from typing import Any, NoReturn

from algohost.runner.reasons import Reason, reason_of
from algohost.runner.system import system

_LONG = 1 << 63  # a code that does not fit is -1 to Python
_FLUSH_FAILED = 120  # what Python gives where standard output cannot be flushed at the end


def run(path: str, source: bytes, on_end: Callable[[int, Reason | None], None]) -> NoReturn:
    """Executes ``source`` as ``__main__`` and ends the process as Python would.

    ``on_end`` is told the status, negative for a signal, and what the script raised, if
    anything, when all of the script has run.
    """
    main = _new_main(path)
    error = _execute(main, path, source)
    for name in ("__file__", "__cached__"):  # Python removes them before it waits for threads
        main.__dict__.pop(name, None)
    status = 0 if error is None else _report(error)
    reason, error = reason_of(error), None  # the traceback holds the script's objects
    if not _wind_up(main) and status == 0:
        status = _FLUSH_FAILED
    on_end(status, reason)
    if status < 0:
        system.end_by_signal(-status)
    os._exit(status & 0xFF)  # tearing down would touch every page shared with the zygote


def rehearse() -> None:
    """Runs nothing as a script is run."""
    main = _module("/nowhere/script.py")
    exec(compile(b"import time\n", "<rehearsal>", "exec", dont_inherit=True), main.__dict__)  # noqa: S102


def _new_main(path: str) -> types.ModuleType:
    main = _module(path)
    sys.modules["__main__"] = main
    return main


def _module(path: str) -> types.ModuleType:
    main = types.ModuleType("__main__")
    facts: dict[str, Any] = {
        "__file__": path,
        "__builtins__": builtins,
        "__loader__": SourceFileLoader("__main__", path),
    }
    if sys.version_info < (3, 14):
        facts["__annotations__"] = {}
    if sys.version_info < (3, 15):
        facts["__cached__"] = None
    main.__dict__.update(facts)
    return main


def _execute(main: types.ModuleType, path: str, source: bytes) -> BaseException | None:
    try:
        system.open_to_signals()  # a stop that came while the run was set up is the script's
        exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)  # noqa: S102
    except BaseException as error:  # noqa: BLE001 - whatever the script raised is its own end
        return error
    return None


def _report(error: BaseException) -> int:
    """Says how the script ended, as Python says it; returns its status."""
    if isinstance(error, SystemExit):
        return _exit_status(error)
    trace = _without_us(error)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    status = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    try:
        sys.excepthook(type(error), error, trace)
    except SystemExit as leave:
        return _exit_status(leave)
    except BaseException as broken:  # noqa: BLE001 - the script's own hook
        print("Error in sys.excepthook:", file=sys.stderr)
        sys.__excepthook__(type(broken), broken, _without_us(broken))
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(type(error), error, trace)
    return status


def _without_us(error: BaseException) -> types.TracebackType | None:
    """Takes our frames off the beginning of a traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    error.__traceback__ = trace
    return trace


def _exit_status(leave: SystemExit) -> int:
    if leave.code is None:
        return 0
    if isinstance(leave.code, int):
        return leave.code & 0xFF if -_LONG <= leave.code < _LONG else 0xFF
    if sys.stderr is not None:
        print(leave.code, file=sys.stderr)
    return 1


def _wind_up(main: types.ModuleType) -> bool:
    """What a script can see of Python's end; whether standard output was flushed."""
    try:
        threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001
    except BaseException:  # noqa: BLE001 - Ctrl-C while waiting for a thread
        print(f"Exception ignored in: {threading!r}", file=sys.stderr)
        traceback.print_exc()
    atexit._run_exitfuncs()  # noqa: SLF001
    _flush_files()  # before a collection, which may close a file below its buffer
    if threading.active_count() == 1:  # a daemon thread would stumble over missing names
        _clear(main)
        del main
        gc.collect()
    _flush_files()
    return _flush_standard()


def _clear(main: types.ModuleType) -> None:
    """Drops the script's names in Python's order, so that its objects end as they would."""
    names = main.__dict__
    for underscored in (True, False):
        for name in list(names):
            is_private = name.startswith("_") and not name.startswith("__")
            if is_private == underscored and name != "__builtins__":
                names[name] = None


def _flush_files() -> None:
    """Writes what is left in files that the script never closed. Frozen objects are not met."""
    standard = (sys.stdout, sys.stderr, sys.stdin)
    for thing in gc.get_objects():
        if isinstance(thing, io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom):
            try:
                if thing not in standard and not thing.closed:
                    thing.flush()
            except (OSError, ValueError):
                continue


def _flush_standard() -> bool:
    is_flushed = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                getattr(stream, "finish", stream.flush)()
        except Exception:  # noqa: BLE001 - a stream of the script's own making
            is_flushed = is_flushed and stream is sys.stderr
    with suppress(OSError, AttributeError):
        system.flush_c_output()
    return is_flushed
