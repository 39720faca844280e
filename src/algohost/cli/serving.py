"""``algohost serve``: one server in the foreground, on one data directory."""

import gc
import logging
from collections.abc import Mapping
from pathlib import Path

from algohost.cli import exposure, ports
from algohost.cli.rundir import RunDir
from algohost.runner import slices
from algohost.settings import Loaded, load

log = logging.getLogger(__name__)


def serve(flags: Mapping[str, object], *, config: Path | None) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code.

    Raises, each with one sentence: ``Invalid`` for settings and for a data directory that
    cannot be written or that strategies may read, ``Conflict`` where another server has the
    data directory or something has a port, ``Unavailable`` where the database cannot be opened
    or is newer than the program.
    """
    loaded = load(flags, config=config)
    settings = loaded.settings
    exposure.refuse(settings.data_dir)
    run_dir = RunDir(settings.data_dir)
    run_dir.make()
    with run_dir.locked():
        wanted = {"port": settings.port, "feed_port": settings.feed_port}
        ports.refuse_if_taken(settings.host, wanted)
        _log_to_stderr(loaded)
        slices.ask_for(slices.PROMPT)  # before there is a thread that would be without
        gc.disable()  # a tenth of the way up goes into collections that find nothing
        try:
            from algohost.cli import server

            return server.serve(settings)
        finally:
            gc.enable()


def _log_to_stderr(loaded: Loaded) -> None:
    logging.basicConfig(
        level=loaded.settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # a line each
    for name in loaded.unknown_variables:
        log.warning("unknown_variable name=%s", name)
