"""``python -m benchmarks [--quick] [--only NAME …]``: measures, and prints the table."""

import argparse
import os
import platform
import sys
from importlib.metadata import version

from benchmarks import bounds, contracts, due, feed, kill, matching, measures, orders
from benchmarks.figures import Figure, as_markdown
from benchmarks.server import running_server

MEASURES = {
    "starts": measures.single_starts,
    "crowd": measures.starts_at_once,
    "memory": measures.memory,
    "status": measures.status_requests,
    "orders": orders.orders,
    "confinement": bounds.confinement,
    "idle": bounds.idle,
    "stubborn": bounds.stubborn,
    "output": bounds.output,
    "greedy": bounds.greedy,
    "search": bounds.search,
    "contracts": contracts.contracts,
    "due": due.due,
    "matching": matching.matching,
    "kill": kill.kill,
    "feed": feed.feed,
}


def main() -> int:
    """Returns 1 where a goal is missed."""
    if sys.platform != "linux":
        print("The benchmarks read /proc and need Linux.", file=sys.stderr)
        return 1
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, rough figures")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    options = parser.parse_args()
    amount = measures.QUICK if options.quick else measures.FULL
    figures: list[Figure] = []
    with running_server() as server:
        for name in options.only:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            figures += MEASURES[name](server, amount)
    print(
        f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"openalgo {version('openalgo')}\n"
    )
    print(as_markdown(figures))
    return 0 if all(figure.is_met is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
