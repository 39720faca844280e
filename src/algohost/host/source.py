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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from algohost.domain.errors import Invalid, NotFound, TooLarge
from algohost.domain.strategies import SourceProblem
from algohost.host import bundles

MOST_BYTES: Final = 1_048_576
_CHECK_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What may be kept as a version: the name that is shown, and the content as it is stored."""

    file_name: str
    content: bytes


async def prepare(file_name: str, content: bytes) -> Accepted:
    """What is kept of a sent file: a script as it is, a zip as the archive of its files.

    Raises ``Invalid`` or ``TooLarge`` for what cannot be a strategy.
    """
    name = _plain_name(file_name)
    if not name.lower().endswith(".zip"):
        return Accepted(file_name=accept(file_name, content), content=content)
    if len(name) > 120 or not name.isprintable() or name.lower() == ".zip":
        raise Invalid("The zip's name is too long or has unprintable characters; rename it.")
    files = await asyncio.to_thread(bundles.accept, content)
    _refuse_large_scripts(files)
    return Accepted(file_name=name, content=await asyncio.to_thread(bundles.pack, files))


def checked_name(name: str) -> str:
    """A strategy's name without needless spaces. Raises ``Invalid`` for one that is none."""
    cleaned = " ".join(name.split())
    if not cleaned or len(cleaned) > 80 or not cleaned.isprintable():
        raise Invalid(
            "A strategy's name has 1 to 80 printable characters; give it a shorter or plainer one.",
            code="BAD_NAME",
        )
    return cleaned


def accept(file_name: str, content: bytes) -> str:
    """The plain name under which a script may be kept.

    Raises ``Invalid`` or ``TooLarge`` for what cannot be a strategy's file.
    """
    name = _plain_name(file_name)
    if not name.lower().endswith(".py") or name.lower() == ".py" or bundles.is_bundle(content):
        raise Invalid(
            f"“{name[:80] or 'The file'}” is neither a Python file nor a zip; choose one whose"
            " name ends in .py or .zip.",
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
    """Where the text, or a file of a bundle, stops being Python, or ``None``.

    Raises ``Invalid`` for a script that is not readable as text.
    """
    subject = "--archive" if bundles.is_bundle(content) else file_name
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-X", "utf8", str(_program()), subject),
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


def files_in(file_name: str, content: bytes) -> Mapping[str, bytes]:
    """The files of a version by name; a script is one file with its own name."""
    return bundles.unpack(content) if bundles.is_bundle(content) else {file_name: content}


def main_file(file_name: str, content: bytes) -> str:
    """The file that a run begins with."""
    return bundles.MAIN if bundles.is_bundle(content) else file_name


def is_text(content: bytes) -> bool:
    """Whether a file of a bundle can be shown and edited."""
    try:
        return len(content) <= MOST_BYTES and "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False


def edited(before: bytes, file: str, text: str) -> bytes:
    """A version's content with one file changed; ``file`` counts only in a bundle.

    Raises ``NotFound`` for a file that the bundle does not have.
    """
    if not bundles.is_bundle(before):
        return encode(text, like=before)
    files = bundles.unpack(before)
    if file not in files:
        raise NotFound(f"The strategy has no file “{file[:120]}”.", code="NO_FILE")
    files[file] = encode(text, like=files[file])
    _refuse_large_scripts(files)
    return bundles.pack(files)


def _refuse_large_scripts(files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        if name.endswith(".py") and len(data) > MOST_BYTES:
            raise TooLarge(
                f"{name} has {len(data):,} bytes; a script may have at most {MOST_BYTES:,}.",
                code="FILE_TOO_LARGE",
            )


def _plain_name(file_name: str) -> str:
    return PurePosixPath(PureWindowsPath(file_name).name).name


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
