"""The command line. ``main`` is the program ``algohost``."""

import sys


def main() -> None:
    """Runs the words of the command line and ends the process with the exit code they earn."""
    from algohost.cli.app import run

    sys.exit(run(sys.argv[1:]))
