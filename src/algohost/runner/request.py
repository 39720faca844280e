"""What a child is asked, and what it answers before its script's first line."""

import json
from dataclasses import dataclass
from typing import Any, Final

from algohost.runner.bounds import Enforced
from algohost.runner.messages import LaunchSpec
from algohost.runner.parse import MessageError

_READY: Final = b"R["
_IS_WRITTEN: Final = b"\n"
SETUP_FAILED: Final = 126
"""The exit code of a child whose script has not begun."""
END_OF_REQUEST: Final = b"\n"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a child reads from its inherited descriptor; the zygote never does."""

    spec: LaunchSpec
    mark: int
    record: str
    """Where the exit record goes."""
    group: str = ""
    """The control group that the run is to enter, where the agent has made one."""

    def to_bytes(self) -> bytes:
        """JSON, with the secret environment in it."""
        data = {
            "spec": self.spec.to_json(),
            "mark": self.mark,
            "record": self.record,
            "group": self.group,
        }
        return json.dumps(data).encode("ascii") + END_OF_REQUEST

    @classmethod
    def from_bytes(cls, data: bytes) -> "Request":
        """The inverse of ``to_bytes``. Raises ``MessageError``."""
        try:
            fields = json.loads(data)
            spec, mark, record = fields["spec"], fields["mark"], fields["record"]
            group = str(fields.get("group", ""))
        except (ValueError, KeyError, TypeError) as error:
            raise MessageError("The request of a run is cut short.") from error
        return cls(spec=LaunchSpec.from_json(spec), mark=int(mark), record=str(record), group=group)


def ready(enforced: tuple[Enforced, ...], *, is_written: bool) -> bytes:
    """What the status descriptor says when the script's first line is next.

    ``is_written``: the child itself has put it in the journal.
    """
    said = b"R" + json.dumps([one.to_json() for one in enforced]).encode("ascii")
    return said + _IS_WRITTEN if is_written else said


def ready_fact(run_id: str, enforced: tuple[Enforced, ...]) -> dict[str, Any]:
    """The same as a fact of the journal."""
    return {"fact": "ready", "run": run_id, "enforced": [one.to_json() for one in enforced]}


def is_written(said: bytes) -> bool:
    """Whether a child that has said ``ready`` has put it in the journal."""
    return said.endswith(_IS_WRITTEN)


def enforced_of(said: bytes) -> tuple[Enforced, ...] | None:
    """What holds a child that has said ``ready``; ``None`` where it has said something else."""
    if not said.startswith(_READY):
        return None
    try:
        return Enforced.list_from_json(json.loads(said[1:]))
    except (ValueError, MessageError):
        return ()
