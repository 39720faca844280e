"""A program: reads source from standard input, compiles it, prints what is wrong as JSON.

Runs alone in a child with limits: hostile text may eat the compiler's time and memory, not the
server's. Nothing is executed. Prints ``null`` where the text compiles.
"""

import contextlib
import io
import json
import sys
import tokenize
import warnings


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


def main() -> None:
    """Reads, compiles, prints."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (4, 4))
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    json.dump(problem_of(sys.argv[1], sys.stdin.buffer.read()), sys.stdout)


if __name__ == "__main__":
    main()
