"""What must be true when the faults are over. Each check returns a sentence for each breach.

The strategies that were wanted last live and go on while they are looked at.
"""

import fcntl
import itertools
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx

from algohost.domain.errors import AlgohostError
from tests.chaos.orders import order_breaches
from tests.chaos.world import HEAL_SECONDS, Member, World
from tests.e2e.running import until

_RESTING = {"running": {"running"}, "stopped": {"stopped", "error"}}
_DROPPED = ("bytes of output were lost", "of earlier output were dropped")


def breaches(world: World) -> list[str]:
    """Everything that was promised and does not hold, after ``World.heal``."""
    found = list(_wanted_is_so(world))
    found += _one_life(world)
    found += _whole_logs(world)
    found += order_breaches(_WorldLooks(world))
    found += _every_end_is_known(world)
    found += _nothing_lives_after_the_last_stop(world)
    found += _sound_database(world)
    return found


def _wanted_is_so(world: World) -> Iterator[str]:
    """What was acknowledged last is what is; nothing is on its way for ever."""
    for member in world.members:
        resting = _RESTING.get(member.wanted or "", {"running", "stopped", "error"})
        if member.ends_by_itself:
            resting = {"stopped", "error"}
        elif member.wanted == "running" and world.killed_pids:
            resting = {"running", "error"}  # it may be the one that was killed

        def rests(member: Member = member, resting: set[str] = resting) -> bool:
            return world.server.row(member.strategy_id)["phase"] in resting

        try:
            until(rests, member.name, seconds=HEAL_SECONDS)
        except AssertionError:
            row = world.server.row(member.strategy_id)
            yield (
                f"{member.name} is {row['phase']} and should be one of {sorted(resting)}:"
                f" {row['sentence']}"
            )


def _one_life(world: World) -> Iterator[str]:
    for member in world.members:
        if "DOUBLE LIFE" in _log(world, member):
            yield f"{member.name} had two lives at once."


def _whole_logs(world: World) -> Iterator[str]:
    """Every line that a ticker wrote is there, but for those that a log says it has lost."""
    folder = world.server.data_dir / "log" / "strategies"
    for path in folder.glob("ticker_*.log"):
        text = path.read_text(errors="replace")
        numbers = [int(found[1]) for found in re.finditer(r"IST tick (\d+)$", text, re.MULTILINE)]
        gaps = [pair for pair in itertools.pairwise(numbers) if pair[1] != pair[0] + 1]
        excused = sum(text.count(words) for words in _DROPPED)
        if len(gaps) > excused or (gaps and not world.fills):
            yield f"{path.name} has the gaps {gaps[:5]} and says of {excused} that they are lost."


class _WorldLooks:
    """Looks at the real thing."""

    def __init__(self, world: World) -> None:
        self._world = world

    def acknowledged(self) -> dict[int, str]:
        """From the logs; a line that a full disk has swallowed only means less to look for."""
        logs = "".join(_log(self._world, member) for member in self._world.members)
        found = re.finditer(r"DONE (\d+) (\S+)$", logs, re.MULTILINE)
        return {int(one[1]): one[2] for one in found}

    def booked(self) -> list[tuple[int, str]]:
        """An order's trigger price is its number."""
        key = self._world.server.new_key()
        answer = httpx.post(
            f"{self._world.server.url}/api/v1/orderbook", json={"apikey": key}, timeout=30
        ).json()
        orders = answer["data"]["orders"]
        found = [(round(o["trigger_price"]), o["orderid"]) for o in orders]
        self._world.timeline.note(f"{len(found)} orders are booked")
        return found

    def sent(self) -> set[int]:
        """From a trader's own file, which it replaces before it sends, and cannot go on without;
        neither a full disk nor a log that is thrown away takes anything from it."""
        found: set[int] = set()
        for member in self._world.members:
            path = self._world.server.data_dir / "work" / member.strategy_id / "sent"
            if member.first_order is not None and path.exists():
                found |= set(range(member.first_order + 1, int(path.read_text()) + 1))
        return found


def _every_end_is_known(world: World) -> Iterator[str]:
    """Each run that is over has its one outcome, and is the right one where we know it."""
    with sqlite3.connect(world.server.data_dir / "algohost.db") as database:
        rows = database.execute(
            "SELECT strategy_id, state, outcome, exit_code, signal, pid FROM runs"
        ).fetchall()
    database.close()
    by_id = {member.strategy_id: member for member in world.members}
    for strategy_id, state, outcome, code, number, pid in rows:
        name = by_id[strategy_id].name
        if (state == "ended") != (outcome is not None):
            yield f"A run of {name} is {state} with the outcome {outcome}."
        if outcome == "exited" and code not in (
            {7} if name == "short" else {1} if "trader" in name else ()
        ):
            yield f"A run of {name} is said to have exited with {code}."
        if outcome == "signalled" and (number != 9 or pid not in world.killed_pids):
            yield f"A run of {name} is said to have died of signal {number}, which nobody sent."


def _nothing_lives_after_the_last_stop(world: World) -> Iterator[str]:
    for member in world.members:
        try:
            world.server.stop(member.strategy_id)
        except AlgohostError as error:
            if error.code != "NOT_RUNNING":
                yield f"The last stop of {member.name} was answered with {error.code}: {error}"
    for member in world.members:
        lock = world.server.data_dir / "work" / member.strategy_id / "life.lock"

        def is_free(lock: Path = lock) -> bool:
            if not lock.exists():
                return True
            with lock.open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
            return True

        try:
            until(is_free, member.name, seconds=HEAL_SECONDS)
        except AssertionError:
            yield f"A process of {member.name} lives on after its stop."


def _sound_database(world: World) -> Iterator[str]:
    with sqlite3.connect(world.server.data_dir / "algohost.db") as database:
        (said,) = database.execute("PRAGMA integrity_check").fetchone()
    database.close()
    if said != "ok":
        yield f"The database is damaged: {said}"


def _log(world: World, member: Member) -> str:
    logs = sorted((world.server.data_dir / "log" / "strategies").glob(f"{member.strategy_id}*.log"))
    return "".join(path.read_text(errors="replace") for path in logs)
