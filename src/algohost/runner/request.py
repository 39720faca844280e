"""What a child is asked, and what it answers before its script's first line."""

import json
from dataclasses import dataclass
from typing import Final

from algohost.runner.messages import LaunchSpec
from algohost.runner.parse import MessageError

READY: Final = b"R"
"""What the status descriptor says when the script's first line is next."""
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

    def to_bytes(self) -> bytes:
        """JSON, with the secret environment in it."""
        data = {"spec": self.spec.to_json(), "mark": self.mark, "record": self.record}
        return json.dumps(data).encode("ascii") + END_OF_REQUEST

    @classmethod
    def from_bytes(cls, data: bytes) -> "Request":
        """The inverse of ``to_bytes``. Raises ``MessageError``."""
        try:
            fields = json.loads(data)
            spec, mark, record = fields["spec"], fields["mark"], fields["record"]
        except (ValueError, KeyError, TypeError) as error:
            raise MessageError("The request of a run is cut short.") from error
        return cls(spec=LaunchSpec.from_json(spec), mark=int(mark), record=str(record))
