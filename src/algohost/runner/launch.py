"""The portable launcher: a fresh interpreter that becomes one run.

Standard input holds the request to its end, standard output takes the status, as
``child.become`` has them. An input that ends early starts nothing: whoever wanted the run has
died before its start was on disk.
"""

import os
import sys
from typing import NoReturn


def main(search_path: list[str]) -> NoReturn:
    """Reads the request and becomes the run; ``search_path`` is what the script may import."""
    from algohost.runner import child
    from algohost.runner.request import END_OF_REQUEST, SETUP_FAILED

    request = sys.stdin.buffer.read()
    status = os.dup(1)  # above 2, for 0 to 2 are about to be replaced
    if not request.endswith(END_OF_REQUEST):
        os._exit(SETUP_FAILED)
    child.become(request, status, search_path)
