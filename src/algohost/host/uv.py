"""Calls uv, which resolves and installs packages, as a child with an environment of its own."""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from algohost.domain.errors import AlgohostError

log = logging.getLogger(__name__)

_LONGEST_SECONDS: Final = 1800.0
_MOST_OUTPUT: Final = 65_536
_LONGEST_LOCK: Final = 8 << 20
"""Bytes: some sixty thousand hashes. Whoever says more is not listened to."""
_PASSED_ON: Final = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "NETRC", "SSL_CERT_FILE"}
    | {"SSL_CERT_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SYSTEMROOT", "USERPROFILE"}
    | {"APPDATA", "LOCALAPPDATA", "PYENV_ROOT", "PYENV_VERSION"}
)
_NOT_PASSED_ON: Final = ("UV_PROJECT", "UV_PYTHON_PREFERENCE", "UV_TARGET", "UV_PREFIX")
_CREDENTIALS: Final = re.compile(r"//[^/\s@]+@")
_VERSION: Final = "import sys; print(*sys.version_info[:3], sep='.')"

Say = Callable[[str], None]


class UvFailed(AlgohostError):
    """uv ended with an error; the message is all that it said."""

    code = "UV_FAILED"


@dataclass(frozen=True, kw_only=True)
class Python:
    """An interpreter that environments can be made of."""

    path: str
    version: str
    """``3.12.1``."""


def find() -> str | None:
    """The program uv: beside this interpreter, in its package, or on PATH."""
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    if beside is not None:
        return beside
    with contextlib.suppress(ImportError, FileNotFoundError):
        import uv

        return str(uv.find_uv_bin())
    return shutil.which("uv")


class Uv:
    """uv in a folder of its own; ``say`` hears each line as it is said.

    Every method raises ``UvFailed`` with all that uv said. ``may_build`` allows packages that
    come as source, whose own code runs while they are built.
    """

    def __init__(self, folder: Path, *, may_build: bool, say: Say) -> None:
        self._folder = folder
        self._wheels = () if may_build else ("--only-binary", ":all:")
        self._say = say

    async def python(self, specifier: str) -> Python:
        """The server's own Python where it fits, else the first that uv finds."""
        own = Python(path=_own_python(), version=".".join(map(str, sys.version_info[:3])))
        if not specifier:
            return own
        try:
            found = await self._run("python", "find", "--no-project", specifier)
        except UvFailed as error:
            listed = await self._run("python", "list", "--only-installed")
            versions = sorted(set(re.findall(r"(?m)^\w+-(\d+\.\d+\.\d+)", listed)), key=_order)
            asked, found = specifier.removesuffix(",>=3.11"), ", ".join(versions)
            raise UvFailed(
                f"Python {asked} is asked for, and of the Pythons that uv finds here none fits"
                f" ({found or 'it finds none'}). Install one that does, or change"
                f" requires-python in the script.\n\n{error.message}"
            ) from error
        path = found.strip().splitlines()[-1]
        return Python(path=path, version=(await self._call(path, "-I", "-c", _VERSION)).strip())

    async def resolve(self, lines: Sequence[str], python: Python) -> str:
        """The lock: each package with its version and the hashes of its files.

        Nothing of a package runs, unless ``may_build`` allows what comes as source.
        """
        asked = self._folder / "requirements.in"
        asked.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._say("Resolving packages")
        return await self._run(
            *("pip", "compile", asked.name, "--python", python.path, *self._wheels),
            *("--no-header", "--no-annotate", "--quiet", "--generate-hashes"),
        )

    async def install(self, lock: str, python: Python, target: Path) -> None:
        """A new environment in ``target`` that can be moved, with what the lock names."""
        file = self._folder / "requirements.lock"
        file.write_text(lock, encoding="utf-8")
        self._say("Making the environment")
        await self._run(
            "venv", str(target), "--relocatable", "--no-project", "--python", python.path
        )
        checked = ("--require-hashes",) if "--hash=" in lock else ()  # older locks have none
        await self._run(
            *("pip", "install", "--python", str(target), "--no-deps", "--requirements", file.name),
            *("--compile-bytecode", *checked, *self._wheels),
        )

    async def _run(self, *words: str) -> str:
        program = find()
        if program is None:
            raise UvFailed(
                "Environments are made by uv, and uv is not installed here; install it (pip install"
                " uv) and make the environment again."
            )
        return await self._call(program, *words)

    async def _call(self, program: str, *words: str) -> str:
        """What the program wrote to its output. Its errors are heard line by line."""
        child = await asyncio.create_subprocess_exec(
            program,
            *words,
            cwd=self._folder,
            env=environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
            start_new_session=os.name == "posix",  # with what it has started it is ended
        )
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                out, said = await asyncio.gather(_all_of(child.stdout), self._listen(child.stderr))
                code = await child.wait()
        except BaseException as error:  # a cancel as well: nothing of it may live on
            _end(child)
            await child.wait()
            if isinstance(error, TimeoutError):
                minutes = _LONGEST_SECONDS / 60
                raise UvFailed(f"uv was given up after {minutes:.0f} minutes.") from None
            raise
        if code != 0:
            log.info("uv_failed words=%r code=%d", words[:2], code)
            raise UvFailed(masked(said.strip()) or f"uv ended with code {code} and said nothing.")
        return out

    async def _listen(self, stream: asyncio.StreamReader | None) -> str:
        said, length = [], 0
        while stream is not None and (line := await _line_of(stream)):
            text = line.decode("utf-8", "replace")
            length += len(text)
            if length <= _MOST_OUTPUT:
                said.append(text)
            if text.strip():
                self._say(masked(text.strip())[:200])
        if length > _MOST_OUTPUT:
            said.append(f"… and {length - _MOST_OUTPUT:,} characters more.\n")
        return "".join(said)


def environment() -> dict[str, str]:
    """What uv is started with: where it finds things and what was set for it, nothing else."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _PASSED_ON or (name.startswith("UV_") and not _is_ours(name))
    }
    own = str(Path(_own_python()).parent)
    path = os.pathsep.join(filter(None, (own, kept.get("PATH"))))
    # the server's own Python first among those that fit
    return {
        "UV_PYTHON_DOWNLOADS": "never",
        **kept,
        "PATH": path,
        "NO_COLOR": "1",
        "UV_PYTHON_PREFERENCE": "system",
    }


def masked(text: str) -> str:
    """``text`` without the name and password that an address may carry."""
    return _CREDENTIALS.sub("//****@", text)


def _is_ours(name: str) -> bool:
    return name in {"UV_PYTHON", "UV_SYSTEM_PYTHON"} or name.startswith(_NOT_PASSED_ON)


def _own_python() -> str:
    """The interpreter below the server's own environment."""
    return getattr(sys, "_base_executable", None) or sys.executable


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


async def _all_of(stream: asyncio.StreamReader | None) -> str:
    whole = bytearray()
    while stream is not None and (piece := await stream.read(65_536)):
        whole += piece
        if len(whole) > _LONGEST_LOCK:
            raise UvFailed(
                f"uv said more than {_LONGEST_LOCK >> 20} MB, as it does for no set of packages;"
                " ask for fewer."
            )
    return whole.decode("utf-8", "replace")


async def _line_of(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:  # without an end for a megabyte
        return b"(a line that is too long)\n"


def _end(child: asyncio.subprocess.Process) -> None:
    """At once, and all that it has started: a build has children of its own."""
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
