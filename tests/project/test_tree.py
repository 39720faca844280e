"""The files themselves: nothing of the machine they were written on, nothing too long."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPPED = {".git", ".venv", "node_modules", "static", "__pycache__", "dist"}
TEXT = {".py", ".md", ".toml", ".ts", ".css", ".html", ".json", ".mjs", ".ini", ".mako", ".txt", ""}

# spelled in pieces, so that this file does not find itself
MACHINE_PATHS = re.compile(
    "|".join(
        [
            r"(?<![\w.-])/" + r"(?:root|home|Users)/[a-z]\w*/",
            r"(?<![\w.-])/" + r"work/\w",
            r"/tmp/" + r"(?!algohost)\w+/",
            r"(?<!\w)[A-Z]:\\\\?" + r"Users\\",
        ]
    )
)
SECRETS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(?:Zk)?[0-9a-f]{64}\b")


def text_files() -> list[Path]:
    """The files that git knows or would know; without git, what is here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        found = [
            path
            for path in ROOT.rglob("*")
            if path.is_file() and not SKIPPED.intersection(path.relative_to(ROOT).parts)
        ]
    return [path for path in found if path.suffix in TEXT and path.is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in text_files()
    }


def test_no_file_names_a_path_of_the_machine_it_was_written_on(texts: dict[str, str]) -> None:
    found = {
        name: match[0]
        for name, text in texts.items()
        if (match := MACHINE_PATHS.search(text)) is not None
    }
    assert found == {}


def test_no_lock_names_a_package_registry(texts: dict[str, str]) -> None:
    """A registry's address in a lock sends everybody to whatever its writer used."""
    assert '"resolved"' not in texts["web/package-lock.json"]
    assert "uv.lock" not in texts


def test_no_file_carries_a_key(texts: dict[str, str]) -> None:
    found = [
        name
        for name, text in texts.items()
        if SECRETS.search(text) and not name.endswith("package-lock.json")
    ]
    assert found == []


def test_modules_stay_short_enough_to_be_read(texts: dict[str, str]) -> None:
    long = {
        name: lines
        for name, text in texts.items()
        if name.startswith("src/") and name.endswith(".py") and (lines := text.count("\n")) > 400
    }
    assert long == {}
