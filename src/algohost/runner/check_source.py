"""A program: reads source from standard input, compiles it, prints what is wrong as JSON.

Runs alone in a child with limits: hostile text may eat the compiler's time and memory, not the
server's. Nothing is executed. Prints ``null`` where the text compiles. With ``--archive`` the
input is the archive of a strategy of several files; the first problem names its file.
"""

import contextlib
import io
import json
import sys
import time
import tokenize
import warnings
import zipfile
from typing import Final

_PATIENCE_SECONDS: Final = 2.5
_MAIN: Final = "main.py"


def problem_of(name: str, content: bytes) -> dict[str, object] | None:
    """What stops the text from being Python: line, column and message."""
    warnings.simplefilter("ignore")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        content.decode(encoding)
    except (SyntaxError, UnicodeError, LookupError) as error:
        return {"undecodable": True, "message": str(error)[:200]}
    try:
        compile(content, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        message = error.msg or "invalid syntax"
        return {"line": error.lineno or 1, "column": error.offset or 1, "message": message[:200]}
    except ValueError as error:  # NUL bytes, before Python 3.12
        return {"line": 1, "column": 1, "message": str(error)[:200]}
    except (RecursionError, MemoryError):
        return {"line": 1, "column": 1, "message": "too deeply nested"}
    return None


def problem_in(archive: bytes) -> dict[str, object] | None:
    """The first problem in the Python files of an archive, ``main.py`` before the others.

    Files that are not reached in time are left to the run that imports them.
    """
    until = time.process_time() + _PATIENCE_SECONDS
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        names = sorted((n for n in files.namelist() if n.endswith(".py")), key=_main_first)
        for name in names:
            if time.process_time() > until:
                break
            found = problem_of(name, files.read(name))
            if found is not None:
                message = f"not readable as text: {found['message']}"
                where = {"line": 1, "column": 1, "message": message}
                return {**(where if found.get("undecodable") else found), "file": name}
    return None


def _main_first(name: str) -> tuple[bool, str]:
    return name != _MAIN, name


def main() -> None:
    """Reads, compiles, prints."""
    if sys.platform != "win32":  # there the server's patience is the only limit
        import resource

        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CPU, (4, 4))
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    content = sys.stdin.buffer.read()
    is_archive = sys.argv[1] == "--archive"
    json.dump(problem_in(content) if is_archive else problem_of(sys.argv[1], content), sys.stdout)


if __name__ == "__main__":
    main()
