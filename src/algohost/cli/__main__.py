"""``python -m algohost.cli`` is ``algohost``."""

from algohost.cli import main

main()
