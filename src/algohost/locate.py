"""Where the configuration file and the data are, found with the standard library alone.

Commands that only talk to the server need nothing else of the settings, and must not pay for
reading all of them.
"""

import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from algohost.domain.errors import Invalid

CONFIG_VARIABLE: Final = "ALGOHOST_CONFIG"
DATA_DIR_VARIABLE: Final = "ALGOHOST_DATA_DIR"
OTHER_VARIABLES: Final = frozenset({CONFIG_VARIABLE, "ALGOHOST_SKIP_WEB"})
"""Variables of ours that are no settings."""


def default_data_dir() -> Path:
    """The data directory where nothing else is said: ``~/.local/share/algohost`` on Linux."""
    return _platform_dir("XDG_DATA_HOME", ".local/share", windows="LOCALAPPDATA")


def default_config_file() -> Path:
    """The configuration file that is read where it exists: ``~/.config/algohost/config.toml``."""
    return _platform_dir("XDG_CONFIG_HOME", ".config", windows="APPDATA") / "config.toml"


def absolute(path: Path) -> Path:
    """``path`` with ``~`` spelled out, from the root; links are kept."""
    return Path(os.path.abspath(path.expanduser()))


def config_file(given: Path | None) -> Path | None:
    """The configuration file in force: the given one, ``ALGOHOST_CONFIG``, the default one.

    None where nobody named one and the default does not exist.
    """
    named = given or os.environ.get(CONFIG_VARIABLE)
    if named:
        return absolute(Path(named))
    default = default_config_file()
    return default if default.exists() else None


def read_config(file: Path) -> Mapping[str, Any]:
    """What the configuration file says. Raises ``Invalid`` where it cannot be read."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"The configuration file {file} cannot be read ({reason}); check its path."
        raise Invalid(message, code="CONFIG") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"The configuration file {file} is not TOML ({error}); correct that place."
        raise Invalid(message, code="CONFIG") from error


def data_dir(flag: Path | None = None, *, config: Path | None = None) -> Path:
    """The data directory in force, as ``settings.load`` would find it.

    Raises ``Invalid`` where the configuration file cannot be read.
    """
    if flag is not None:
        return absolute(flag)
    variable = os.environ.get(DATA_DIR_VARIABLE)
    if variable:
        return absolute(Path(variable))
    file = config_file(config)
    in_file = read_config(file).get("data_dir") if file is not None else None
    return absolute(Path(in_file)) if isinstance(in_file, str) else default_data_dir()


def _platform_dir(xdg: str, below_home: str, *, windows: str) -> Path:
    if sys.platform == "win32":
        base = os.environ.get(windows)
        return Path(base or Path.home() / "AppData/Local") / "algohost"
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/algohost"
    named = os.environ.get(xdg, "")
    # the XDG specification: a relative path is invalid and ignored
    base_dir = Path(named) if os.path.isabs(named) else Path.home() / below_home
    return base_dir / "algohost"
