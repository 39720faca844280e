"""Which packages and which Python a strategy asks for: typed in, in its files, or in its script.

Requirements come from users and are given to a resolver that runs as the server. So only names
with versions and https addresses pass: an option or a path could read files of the host.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from algohost.domain.errors import Invalid

MOST_CHARACTERS: Final = 32_768
FILE: Final = "requirements.txt"
CLIENT: Final = "openalgo"
"""Added to every environment that does not name it: scripts here are written against it."""
_LEAST_PYTHON: Final = ">=3.11"
_LONGEST_LINE: Final = 400
_LONGEST_IN_BLOCK: Final = 2_000
"""Reading a key of many thousand parts takes seconds."""

_BEGIN: Final = re.compile(r"# /// ([a-zA-Z0-9-]+)")
_END: Final = "# ///"
_NAME: Final = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[A-Za-z0-9._, -]*\]\s*)?"
)
_REST: Final = re.compile(r"(?:[(<>=!~][^@/\\;]*)?(?:;.*)?|@\s*https://[^\s@]+(?:\s+;.*)?")
_PYTHON: Final = re.compile(r"[0-9A-Za-z.,<>=!~* ]{1,60}")


class Origin(StrEnum):
    """Where the requirements are written, in the words of the page."""

    TYPED = "the strategy's settings"
    FILE = "requirements.txt"
    SCRIPT = "the script"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What the files of a version ask for, read once: it does not change."""

    block: Mapping[str, Any]
    """The metadata that the script carries."""
    file: str
    """``requirements.txt``; empty where there is none."""


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What is asked for. Two that ask for the same have the same ``id``."""

    lines: tuple[str, ...]
    """Sorted, checked, with the client among them."""
    python: str = ""
    """A version specifier such as ``>=3.12``; empty is the server's own Python."""
    origin: Origin

    @property
    def id(self) -> str:
        """SHA-256 of what is asked for, wherever it is written."""
        asked = json.dumps([self.python, self.lines])
        return hashlib.sha256(asked.encode()).hexdigest()

    @property
    def bounded_python(self) -> str:
        """``python`` as a specifier that no Python too old for us can meet."""
        return f"{self.python},{_LEAST_PYTHON}" if self.python else ""


def of(script: str, files: Mapping[str, bytes], typed: str) -> Requirements | None:
    """What a strategy asks for; ``None`` where the built-in environment is enough.

    What is typed in wins over ``requirements.txt``, and that over the script's own block; the
    Python is always the block's. Raises ``Invalid``.
    """
    return asked(written(script, files), typed)


def written(script: str, files: Mapping[str, bytes]) -> Written:
    """What a script and the files beside it ask for. Raises ``Invalid``."""
    text = files.get(FILE, b"")[: 4 * MOST_CHARACTERS + 4].decode("utf-8-sig", "replace")
    return Written(block=inline(script), file=text)


def asked(found_in: Written, typed: str) -> Requirements | None:
    """``of``, for files that are read. Raises ``Invalid``."""
    python = _python(found_in.block.get("requires-python", ""))
    if lines_of(typed):
        return _made(typed, python, Origin.TYPED)
    if lines_of(found_in.file):
        return _made(found_in.file, python, Origin.FILE)
    if not found_in.block.keys() & {"dependencies", "requires-python"}:
        return None
    found = found_in.block.get("dependencies", [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Invalid("The script's dependencies are not a list of texts.", code=_CODE)
    return _made("\n".join(found), python, Origin.SCRIPT)


def inline(script: str) -> Mapping[str, Any]:
    """The metadata that a script carries (PEP 723); empty where it has none. Raises ``Invalid``."""
    found = [lines for kind, lines in blocks(script) if kind == "script"]
    if len(found) > 1:
        raise Invalid("The script has more than one “# /// script” block; keep one.", code=_CODE)
    if not found:
        return {}
    text = "\n".join(line[2:] for line in found[0])
    if len(text) > MOST_CHARACTERS or any(len(line) > _LONGEST_IN_BLOCK for line in found[0]):
        raise Invalid(
            f"The script's “# /// script” block may have {MOST_CHARACTERS:,} characters, and"
            f" {_LONGEST_IN_BLOCK:,} in one line; name only what the strategy imports.",
            code=_CODE,
        )
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise Invalid(
            f"The script's “# /// script” block is not TOML ({why}); correct it.", code=_CODE
        ) from error


def blocks(script: str) -> list[tuple[str, list[str]]]:
    """The kinds and lines of a script's blocks of metadata, as PEP 723 finds them.

    In time that grows with the length alone: the expression that the PEP gives takes minutes for
    a megabyte of beginnings without an end.
    """
    found: list[tuple[str, list[str]]] = []
    kind, most = "", 0  # `most` is how many lines the block has if it ends here
    inside: list[str] = []
    for line in (*script.split("\n"), ""):
        if kind and (line == "#" or line.startswith("# ")):
            if line == _END:
                most = len(inside)
            inside.append(line)
            continue
        if most:
            found.append((kind, inside[:most]))
        begun = _BEGIN.fullmatch(line)
        kind, inside, most = begun[1] if begun is not None else "", [], 0
    return found


def check(text: str) -> str:
    """``text`` as it may be kept as typed requirements, empty for none. Raises ``Invalid``."""
    if lines_of(text):
        _made(text, "", Origin.TYPED)
        return text.replace("\r\n", "\n").strip() + "\n"
    return ""


def lines_of(text: str) -> list[tuple[int, str]]:
    """The lines that ask for something, with their numbers. Raises ``Invalid`` for too many."""
    if len(text) > MOST_CHARACTERS:
        raise Invalid(
            f"The requirements have more than {MOST_CHARACTERS:,} characters; name only what the"
            " strategy imports.",
            code=_CODE,
        )
    bare = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [(number, line) for number, line in enumerate(bare, 1) if line]


_CODE: Final = "BAD_REQUIREMENTS"


def _made(text: str, python: str, origin: Origin) -> Requirements:
    lines = {_checked(number, line): _name(line) for number, line in lines_of(text)}
    names = {re.sub(r"[-_.]+", "-", name).lower() for name in lines.values()}
    client = () if CLIENT in names else (CLIENT,)
    return Requirements(lines=tuple(sorted((*lines, *client))), python=python, origin=origin)


def _checked(number: int, line: str) -> str:
    if "--hash" in line or line.endswith("\\"):
        raise _refusal(number, line, "hashes are not supported; leave them out")
    named = _NAME.match(line)
    if named is None or _REST.fullmatch(line[named.end() :]) is None or len(line) > _LONGEST_LINE:
        why = "only names of packages, with versions, can stand there"
        if line.startswith("-"):
            why = (
                "options cannot stand there; which index is asked is set for the server (UV_INDEX)"
            )
        raise _refusal(number, line, why)
    if "$" in line:  # uv would put in the values of variables
        raise _refusal(number, line, "variables cannot stand there")
    if not line.isprintable():
        raise _refusal(number, "…", "it has characters that cannot be printed")
    return line


def _name(line: str) -> str:
    named = _NAME.match(line)
    return named["name"] if named is not None else ""


def _refusal(number: int, line: str, why: str) -> Invalid:
    return Invalid(f"Line {number} of the requirements is “{line[:80]}”: {why}.", code=_CODE)


def _python(asked: object) -> str:
    if not isinstance(asked, str) or (asked and _PYTHON.fullmatch(asked) is None):
        raise Invalid(
            "The script's requires-python is no version specifier; write it like “>=3.12”.",
            code=_CODE,
        )
    plain = asked.strip()
    if re.fullmatch(r"\d+(\.\d+)?", plain):
        return f"=={plain}.*"
    return f"=={plain}" if plain[:1].isdigit() else plain
