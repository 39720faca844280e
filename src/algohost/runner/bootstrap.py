"""Command lines that start our own modules in any interpreter, installed there or not.

``-c`` and not ``-m``: the modules are found by the path of this package, the path is taken
out of ``sys.path`` again before a script can see it, and ``sys.flags`` are a plain start's.
"""

import os
import sys
from pathlib import Path
from typing import Final

_ROOT: Final = str(Path(__file__).resolve().parent.parent.parent)
_CODE: Final = (
    "import sys; base = sys.path[0 if sys.flags.safe_path else 1:]; "
    "sys.path[:] = [{root!r}, *base]; "
    "from {module} import main; sys.path[:] = base; main(base)"
)
FRESH_ONLY: Final = frozenset({
    "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONDEVMODE", "PYTHONFAULTHANDLER", "PYTHONHASHSEED",
    "PYTHONHOME", "PYTHONINTMAXSTRDIGITS", "PYTHONIOENCODING", "PYTHONMALLOC", "PYTHONNOUSERSITE",
    "PYTHONOPTIMIZE", "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONPROFILEIMPORTTIME",
    "PYTHONSAFEPATH", "PYTHONTRACEMALLOC", "PYTHONUSERBASE", "PYTHONWARNINGS",
})  # fmt: skip
"""Variables that only an interpreter's start honours: a fork of a running one cannot."""
_SHOWN: Final = ("LANG", "LANGUAGE", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE", "TZ")


def command(interpreter: str | None, module: str, *args: str) -> list[str]:
    """Argument list that calls ``main`` of one of our modules.

    ``main`` is given ``sys.path`` as it was, and finds ``args`` in ``sys.argv[1:]``.
    """
    code = _CODE.format(root=_ROOT, module=module)
    return [interpreter or sys.executable, "-c", code, *args]


def start_environment(env: dict[str, str]) -> dict[str, str]:
    """The part of a run's environment that its interpreter needs at its start.

    It can be read in ``/proc`` by the same user, so nothing else may be in it.
    """
    kept = {
        name: value
        for name, value in env.items()
        if name in FRESH_ONLY or name in _SHOWN or name.startswith("LC_")
    }
    return {"PYTHONUTF8": "1", **kept}


def zygote_environment() -> dict[str, str]:
    """What a zygote starts with: no secret, one thread for each numeric library."""
    kept = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TZ")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    one = ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")
    env["PYTHONUTF8"] = "1"
    # pandas imports pyarrow where a user's environment has it: its allocator would start a thread
    env["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
    return {**env, **{f"{name}_NUM_THREADS": "1" for name in one}}
