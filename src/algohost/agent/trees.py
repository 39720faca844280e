"""Which processes belong to which run: a pure function of one look at the process table."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from algohost.agent.runs import Run
from algohost.runner.processes import Seen


def members(
    runs: Collection[Run], look: Sequence[Seen], *, spared: Collection[int]
) -> Mapping[str, list[Seen]]:
    """The living processes of each run's tree, its main process among them, by run id.

    A process belongs by its mark, which nothing it does can raise again. While the main
    process lives, also by descent from it or by its session. After that its session counts
    only together with a lowered mark: the number may be a later session's. ``spared`` are
    pids that belong to nobody: the agent's and the zygotes'.
    """
    alive = [seen for seen in look if not seen.is_zombie and seen.pid not in spared]
    by_pid = {seen.pid: seen for seen in look}
    by_mark = _grouped(alive, "mark")
    by_session = _grouped(alive, "session")
    children = _grouped(look, "parent")
    return {
        run.run_id: list(
            {
                seen.pid: seen
                for seen in (
                    *by_mark.get(run.mark, ()),
                    *_of_session(run, by_pid, by_session),
                    *_descendants(run, by_pid, children, spared),
                )
            }.values()
        )
        for run in runs
    }


def _grouped(look: Sequence[Seen], name: str) -> dict[int | None, list[Seen]]:
    groups: dict[int | None, list[Seen]] = defaultdict(list)
    for seen in look:
        groups[getattr(seen, name)].append(seen)
    return groups


def _main_lives(run: Run, by_pid: Mapping[int, Seen]) -> bool:
    main = None if run.pid is None else by_pid.get(run.pid)
    return main is not None and main.start_ticks == run.start_ticks


def _of_session(
    run: Run, by_pid: Mapping[int, Seen], by_session: Mapping[int | None, list[Seen]]
) -> list[Seen]:
    if run.pid is None:
        return []
    found = by_session.get(run.pid, [])
    if _main_lives(run, by_pid):
        return found
    return [seen for seen in found if seen.mark is not None and seen.mark < run.mark]


def _descendants(
    run: Run,
    by_pid: Mapping[int, Seen],
    children: Mapping[int | None, list[Seen]],
    spared: Collection[int],
) -> list[Seen]:
    if not _main_lives(run, by_pid):
        return []
    found: list[Seen] = []
    waiting = [run.pid]
    while waiting:
        for seen in children.get(waiting.pop(), ()):
            if seen.pid not in spared:
                waiting.append(seen.pid)
                if not seen.is_zombie:
                    found.append(seen)
    return found
