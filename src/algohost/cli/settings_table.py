"""``algohost config``: every setting, its value and its origin."""

from collections.abc import Mapping
from pathlib import Path

from algohost.cli.console import answer, note, table
from algohost.cli.control_client import Control, running_ports
from algohost.settings import Settings, load, variable_name


def show(flags: Mapping[str, object], *, config: Path | None, as_json: bool) -> int:
    """Prints the table of settings in force, and the ports of the server that runs."""
    loaded = load(flags, config=config)
    values = loaded.settings.model_dump(mode="json")
    data = {
        name: {
            "value": values[name],
            "origin": loaded.origins[name],
            "variable": variable_name(name),
            "description": field.description,
        }
        for name, field in Settings.model_fields.items()
    }
    rows = [(name, _shown(values[name]), loaded.origins[name]) for name in data]
    lines = table(["SETTING", "VALUE", "FROM"], rows)
    running = running_ports(Control(loaded.settings.data_dir).server())
    others = [f"{name} {port}" for name, port in running.items() if port != values[name]]
    if others:
        lines += ["", f"The server that runs was started with other ports: {', '.join(others)}."]
    answer(
        as_json,
        {
            "settings": data,
            "running": running or None,
            "config_file": str(loaded.config_file) if loaded.config_file else None,
            "unknown_variables": list(loaded.unknown_variables),
        },
        *lines,
    )
    for name in loaded.unknown_variables:
        note(f"algohost: the variable {name} names no setting and is ignored.")
    return 0


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)
