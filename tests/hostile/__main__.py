"""``python -m tests.hostile``: every attack on this kernel, without and with confinement."""

import os
import tempfile
from pathlib import Path

from tests.hostile.excuses import why_shut
from tests.hostile.table import ATTACKS
from tests.hostile.world import MODES, World


def main() -> None:
    """Prints what is enforced here, then a line for each attack."""
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        rounds = {mode: world.attack(mode) for mode in MODES}
    print(f"Linux {os.uname().release}, user {os.getuid()}")
    for one in rounds["confined"].fact.enforced:
        print(f"  {'on ' if one.is_on else 'OFF'} {one.name}: {one.how}")
    print(f"\n{'attack':34} {'without':9} {'confined':9} {'+processes':11} how it was stopped")
    for attack in ATTACKS:
        tries = [rounds[mode].attempts[attack.name] for mode in MODES]
        words = ["open" if one.is_open else "stopped" for one in tries]
        words[0] = "open" if tries[0].is_open else "shut"
        told = tries[1].detail
        if not tries[0].is_open:
            told = f"{told} (without: {why_shut(attack.excuse, tries[0].detail)})"
        print(f"{attack.name:34} {words[0]:9} {words[1]:9} {words[2]:11} {told}")
    stopped = sum(not rounds["confined"].attempts[attack.name].is_open for attack in ATTACKS)
    print(f"\n{stopped} of {len(ATTACKS)} attacks are stopped by confinement on this machine.")


if __name__ == "__main__":
    main()
