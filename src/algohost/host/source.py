"""Looks at uploaded source without ever running it.

The text is compiled in a short-lived child with limits (``runner.check_source``), because the
compiler itself can be made to eat time and memory by hostile text.
"""

import asyncio
import codecs
import io
import json
import sys
import tokenize
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from algohost.domain.errors import Invalid, TooLarge
from algohost.domain.strategies import SourceProblem

MOST_BYTES: Final = 1_048_576
_CHECK_SECONDS: Final = 5.0


def accept(file_name: str, content: bytes) -> str:
    """The plain name under which the content may be kept.

    Raises ``Invalid`` or ``TooLarge`` for what cannot be a strategy's file.
    """
    name = PurePosixPath(PureWindowsPath(file_name).name).name
    if not name.lower().endswith(".py") or name.lower() == ".py":
        raise Invalid(
            f"“{name[:80] or 'The file'}” is not a Python file; choose one whose name ends in .py.",
            code="NOT_PYTHON",
        )
    if len(name) > 120 or not name.isprintable():
        raise Invalid("The file's name is too long or has unprintable characters; rename it.")
    if len(content) > MOST_BYTES:
        raise TooLarge(
            f"The file has {len(content):,} bytes; a strategy may have at most {MOST_BYTES:,}.",
            code="FILE_TOO_LARGE",
        )
    if not content.strip():
        raise Invalid("The file is empty; choose the script itself.", code="EMPTY_FILE")
    return name


async def find_problem(file_name: str, content: bytes) -> SourceProblem | None:
    """Where the text stops being Python, or ``None``. Raises ``Invalid`` for undecodable text."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-X", "utf8", str(_program()), file_name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            out, _ = await child.communicate(content)
    except TimeoutError:
        child.kill()
        await child.wait()
        return SourceProblem(
            line=1, column=1, message=f"compiling takes more than {_CHECK_SECONDS:.0f} s"
        )
    if child.returncode != 0 or not out:
        return SourceProblem(line=1, column=1, message="compiling it breaks the compiler's limits")
    found = json.loads(out)
    if found is None:
        return None
    if found.get("undecodable"):
        raise Invalid(
            f"The file is not readable as text ({found['message']}); save it as UTF-8.",
            code="WRONG_ENCODING",
        )
    return SourceProblem(**found)


def decode(content: bytes) -> str:
    """The text of a source in its own encoding, with line ends as ``\n``; for showing."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    return content.decode(encoding, "replace").replace("\r\n", "\n")


def encode(text: str, *, like: bytes) -> bytes:
    """``text`` as bytes, with the line ends and the byte order mark of the version before.

    Raises ``Invalid`` where the text names an encoding that cannot hold it.
    """
    if b"\r\n" in like:
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(text.encode("utf-8")).readline)
        content = text.encode(encoding)
    except (SyntaxError, UnicodeError) as error:
        raise Invalid(
            f"The text does not fit the encoding that its first lines name ({error});"
            " save it as UTF-8.",
            code="WRONG_ENCODING",
        ) from error
    has_mark = like.startswith(codecs.BOM_UTF8) and encoding == "utf-8"
    return codecs.BOM_UTF8 + content if has_mark else content


def _program() -> str:
    from importlib.util import find_spec

    spec = find_spec("algohost.runner.check_source")
    if spec is None or spec.origin is None:
        raise Invalid("The source check is missing from this installation; install it again.")
    return spec.origin
