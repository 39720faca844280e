"""The process that ``algohost up`` leaves behind: ``serve`` without reading words again.

``python -m algohost.cli.background '{"flags": {…}, "config": null}'``. Loading the command line
a second time would cost a tenth of a second of each start.
"""

import json
import sys
from pathlib import Path

from algohost.cli import serving
from algohost.cli.console import refuse
from algohost.domain.errors import AlgohostError


def main(argument: str) -> int:
    """Serves until it is told to end; returns the exit code. A refusal goes to the log."""
    given = json.loads(argument)
    config = Path(given["config"]) if given["config"] else None
    try:
        return serving.serve(given["flags"], config=config)
    except AlgohostError as error:
        return refuse(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
