"""A small file system that can be filled: a ``tmpfs`` in a mount namespace of our own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_INSIDE = "ALGOHOST_CHAOS_INSIDE"
_MEGABYTES = 192


def enter_namespace() -> None:
    """Begins again inside a namespace in which we may mount, where the kernel allows that."""
    if _INSIDE in os.environ or shutil.which("unshare") is None:
        return
    words = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        words += ["--user", "--map-root-user"]
    if subprocess.run([*words, "mount", "-t", "tmpfs", "none", "/mnt"], check=False,
                      capture_output=True).returncode != 0:  # fmt: skip
        return
    command = [*words, sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
    os.execvpe(command[0], command, {**os.environ, _INSIDE: "1"})


class SmallDisk:
    """The folder of the data, on a file system of its own where that is possible."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self.can_be_full = _INSIDE in os.environ
        folder.mkdir(parents=True, exist_ok=True)
        if self.can_be_full:
            size = f"size={_MEGABYTES}m"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(folder)], check=True)

    def fill(self) -> None:
        """Leaves no byte free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue

    def free(self) -> None:
        """Gives it all back."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmounts."""
        if self.can_be_full:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)
