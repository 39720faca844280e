"""``python -m tests.chaos [--seconds 60] [--seed N] [--tickers 6] [--traders 2]``."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.checks import breaches
from tests.chaos.disk import SmallDisk, enter_namespace
from tests.chaos.faults import faults
from tests.chaos.world import World
from tests.e2e.running import RunningServer


def main() -> int:
    """Returns 1 where a promise was broken."""
    options = _options()
    enter_namespace()
    print(f"seed {options.seed}, {options.seconds:.0f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="algohost-chaos-") as name:
        disk = SmallDisk(Path(name) / "disk")
        if not disk.can_be_full:
            print("No disk is filled: this kernel gives no mount namespace here.", flush=True)
        server = RunningServer(disk.folder / "data")
        try:
            return _run(World(server=server, disk=disk), options)
        finally:
            server.end()
            disk.close()


def _run(world: World, options: argparse.Namespace) -> int:
    world.server.start()
    world.server.add_user()
    world.populate(options.tickers, options.traders)
    began = time.monotonic()
    for fault in faults(options.seed, can_fill=world.disk.can_be_full):
        if time.monotonic() - began > options.seconds:
            break
        if options.verbose:
            print(f"{time.monotonic() - began:6.1f} {fault.name}", flush=True)
        world.suffer(fault)
    world.heal()
    found = breaches(world)
    for name, count in sorted(world.counts.items()):
        print(f"{count:4} × {name}")
    for breach in found:
        print(f"BROKEN: {breach}")
    if found and options.keep:
        _keep(world, Path(options.keep))
    print("All promises held." if not found else f"Try again with --seed {options.seed}.")
    return 1 if found else 0


def _keep(world: World, folder: Path) -> None:
    """Copies the logs of everything, to see what happened."""
    for pattern in ("*.log", "agent/*.log", "agent/*.jsonl", "log/strategies/*.log"):
        for path in world.server.data_dir.glob(pattern):
            target = folder / path.relative_to(world.server.data_dir)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--tickers", type=int, default=6)
    parser.add_argument("--traders", type=int, default=2)
    parser.add_argument("--keep", help="folder to which the logs go when a promise was broken")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
