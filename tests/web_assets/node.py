"""Node as the build uses it, for tests of what runs in browsers."""

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"


def build_script() -> ModuleType:
    """``hatch_build.py`` as a module."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def node(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs Node in ``web/``."""
    command = [str(build_script().node_executable()), *map(str, arguments)]
    return subprocess.run(
        command, cwd=WEB, input=stdin, capture_output=True, text=True, check=False, timeout=100
    )
