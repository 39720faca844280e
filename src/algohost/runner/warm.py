"""What a zygote imports and exercises before it forks, so that every run shares the pages.

Importing is not enough: much of pandas and of the client is built at first use. A dummy
history through a mock transport and a few indicators touch those paths once. Nothing here may
leave a thread, a descriptor or a random state behind, and nothing that fails is fatal.
"""

import contextlib
import ctypes
import gc
import importlib.util
import json
import os
import sys
from typing import Any, Final

from algohost.runner import client

MODULES: Final = (
    "encodings.idna", "ssl", "json", "decimal", "datetime", "zoneinfo", "logging",
    "logging.handlers", "threading", "queue", "concurrent.futures.thread", "asyncio", "random",
    "multiprocessing.process", "sqlite3", "csv", "urllib.request", "numpy", "numpy.random",
    "pandas", "httpx", "httpcore._sync.connection_pool", "httpcore._backends.sync", "h11",
    "anyio", "requests", "websocket", "openalgo",
)  # fmt: skip
"""Imported in this order; a package that is not installed is simply not shared."""
_COMMAND_LINE_OF_HTTPX: Final = "httpx._main"
"""Imported by ``httpx`` where ``rich`` and ``click`` happen to be: 5 MB, and no script calls it."""


def warm(modules: tuple[str, ...] = MODULES) -> list[str]:
    """Imports and exercises; returns one sentence for each thing that failed."""
    problems = []
    sys.modules.setdefault(_COMMAND_LINE_OF_HTTPX, None)  # type: ignore[arg-type] # not found
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                problems.append(f"Could not import {name}: {error}.")
        except BaseException as error:  # noqa: BLE001 - a broken package must not kill the zygote
            problems.append(f"Could not import {name}: {error!r}.")
    if sys.modules.get(_COMMAND_LINE_OF_HTTPX) is None:
        del sys.modules[_COMMAND_LINE_OF_HTTPX]
    for exercise in (_exercise_pandas, _exercise_client, _prepare_client):
        try:
            exercise()
        except BaseException as error:  # noqa: BLE001 - as above
            problems.append(f"Could not warm by {exercise.__name__}: {error!r}.")
    settle()
    return problems


def is_cold() -> bool:
    """Whether Python has not kept the bytecode of the largest package yet."""
    spec = importlib.util.find_spec("pandas")
    return spec is not None and spec.cached is not None and not os.path.exists(spec.cached)


def settle() -> None:
    """Collects, gives memory back and freezes what is left, so that forks do not touch it."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
    gc.disable()
    gc.freeze()


def _exercise_pandas() -> None:
    pandas: Any = sys.modules.get("pandas")
    if pandas is None:
        return
    index = pandas.date_range("2026-01-01 09:15", periods=500, freq="min", tz="Asia/Kolkata")
    frame = pandas.DataFrame({"close": [float(i) for i in range(500)], "volume": 1}, index=index)
    frame["close"].ewm(span=3, adjust=False).mean()
    frame["close"].rolling(5).mean()
    bool((frame["close"] > 1).iloc[-1])
    frame.resample("5min").last()
    str(frame.tail())


def _exercise_client() -> None:
    """One history through client 1.x and its pool, answered by a mock of the network.

    Client 2.x keeps connections of its own and is left alone.
    """
    openalgo: Any = sys.modules.get("openalgo")
    base: Any = sys.modules.get("openalgo.base")
    if openalgo is None or base is None or hasattr(base.BaseAPI, "_post"):
        return
    rows = [
        {"timestamp": 1761968700 + 60 * i, "open": 1.0, "high": 1.0, "low": 1.0,
         "close": 1.0 + i, "volume": 1, "oi": 0}
        for i in range(500)
    ]  # fmt: skip
    with client.answered_by_mock(json.dumps({"status": "success", "data": rows}).encode()):
        bars = openalgo.api(api_key="x" * 64, host="http://127.0.0.1:9").history(
            symbol="WARM", exchange="NSE", interval="1m",
            start_date="2026-01-01", end_date="2026-01-02",
        )  # fmt: skip
    if isinstance(bars, dict):  # the client's way to say that a call failed
        raise RuntimeError(str(bars.get("message")))  # noqa: TRY004 - no wrong type of ours
    bars["close"].ewm(span=20).mean().iloc[-1]


def _prepare_client() -> None:
    client.prepare()
