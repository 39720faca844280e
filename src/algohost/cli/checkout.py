"""``algohost test``: the test suite, where there is a checkout to take it from."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from algohost.domain.errors import NotFound, Unavailable


def test(module: Path, words: list[str]) -> int:
    """Runs pytest on the checkout that ``module`` lies in; returns pytest's exit code.

    Raises ``NotFound`` for an installed package, ``Unavailable`` where pytest is not installed.
    """
    root = module.resolve().parents[3]
    if not (root / "tests").is_dir() or not (root / "pyproject.toml").is_file():
        message = (
            "The tests are not part of the installed package; "
            "clone the repository and run './algohost test' there."
        )
        raise NotFound(message, code="NO_CHECKOUT")
    if find_spec("pytest") is None:
        message = "pytest is not installed here; run './algohost test' in the checkout."
        raise Unavailable(message, code="NO_PYTEST")
    command = [sys.executable, "-m", "pytest", *words]
    if sys.platform == "win32":
        return subprocess.call(command, cwd=root)  # noqa: S603 - our own words
    os.chdir(root)
    return os.execv(command[0], command)  # noqa: S606 - no shell is meant
