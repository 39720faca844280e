"""``python -m tests.chaos [--seconds 60] [--seed N] [--tickers 6] [--traders 2]``."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.checks import breaches
from tests.chaos.disk import SmallDisk, enter_namespace
from tests.chaos.evidence import Timeline, keep
from tests.chaos.faults import faults
from tests.chaos.world import World
from tests.e2e.running import RunningServer


def main() -> int:
    """Returns 1 where a promise was broken; what shows why is then kept, and said where."""
    options = _options()
    enter_namespace()
    print(f"seed {options.seed}, {options.seconds:.0f} s", flush=True)
    timeline = Timeline(is_shown=options.verbose)
    with tempfile.TemporaryDirectory(prefix="algohost-chaos-") as name:
        disk = SmallDisk(Path(name) / "disk")
        if not disk.can_be_full:
            print("No disk is filled: this kernel gives no mount namespace here.", flush=True)
        server = RunningServer(disk.folder / "data")
        found = ["The run of chaos itself did not come to its end."]
        try:
            found = _run(World(server=server, disk=disk, timeline=timeline), options)
        finally:
            if found:
                disk.free()
                folder = _evidence_folder(options)
                keep(server.data_dir, folder, timeline, found)
                print(f"What there was is kept in {folder}.", flush=True)
            server.end()
            disk.close()
    print(f"Try again with --seed {options.seed}." if found else "All promises held.")
    return 1 if found else 0


def _run(world: World, options: argparse.Namespace) -> list[str]:
    world.server.start()
    world.server.add_user()
    world.populate(options.tickers, options.traders)
    began = time.monotonic()
    for fault in faults(options.seed, can_fill=world.disk.can_be_full):
        if time.monotonic() - began > options.seconds:
            break
        world.suffer(fault)
    world.heal()
    found = breaches(world)
    for name, count in sorted(world.counts.items()):
        print(f"{count:4} × {name}")
    for breach in found:
        print(f"BROKEN: {breach}")
    return found


def _evidence_folder(options: argparse.Namespace) -> Path:
    """Of its own each time, where none was asked for, and not on the disk that is filled."""
    if options.keep:
        return Path(options.keep)
    return Path(tempfile.mkdtemp(prefix=f"chaos-evidence-{options.seed}-"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--tickers", type=int, default=6)
    parser.add_argument("--traders", type=int, default=2)
    parser.add_argument(
        "--keep", help="folder for the evidence of a broken promise, else a new one"
    )
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
