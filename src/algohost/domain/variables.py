"""What a strategy's script finds in its environment besides what the host puts there."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from algohost.domain.errors import Invalid

MOST_VARIABLES: Final = 200
MOST_VALUE_BYTES: Final = 32 * 1024
MOST_BYTES_TOGETHER: Final = 128 * 1024
"""Of all values of one strategy. They travel in one message to the run, so there is an end."""
LEAST_SECRET_CHARACTERS: Final = 6
"""A shorter one would be masked in half of all output, or could not be."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_OF_THE_HOST: Final = frozenset(
    {
        "HOME", "HOST_SERVER", "LANG", "LANGUAGE", "LOGNAME", "OPENBLAS_NUM_THREADS",
        "PATH", "PWD", "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "STRATEGY_ID", "STRATEGY_NAME",
        "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "TZ", "USER", "WEBSOCKET_URL",
    }
)  # fmt: skip
_OF_THE_HOST_BEGINNINGS: Final = ("ALGOHOST_", "LC_", "OPENALGO_")
_OF_THE_INTERPRETER: Final = ("PYTHON", "LD_", "DYLD_", "GLIBC_", "MALLOC_")


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable or a secret as people may see it: the value of a secret is never here."""

    name: str
    value: str | None
    """``None`` for a secret."""
    changed_at: datetime

    @property
    def is_secret(self) -> bool:
        """Whether only the strategy's own process gets the value."""
        return self.value is None


def check_name(name: str) -> str:
    """``name``, where a variable may have it. Raises ``Invalid`` with the field ``name``.

    A refused text is not repeated unless it is a name: somebody may have typed the value there.
    """
    if _NAME.fullmatch(name) is None:
        raise _refused(
            "name",
            "A name has 1 to 100 letters (A to Z), digits and underscores, and does not begin"
            " with a digit.",
        )
    plain = name.upper()
    if plain in _OF_THE_HOST or plain.startswith(_OF_THE_HOST_BEGINNINGS):
        raise _refused("name", f"{name} is set by the host at every start; choose another name.")
    if plain.startswith(_OF_THE_INTERPRETER):
        kind = next(one for one in _OF_THE_INTERPRETER if plain.startswith(one))
        raise _refused(
            "name",
            f"{name} could break the interpreter that runs the script, as every {kind}… could;"
            " choose another name.",
        )
    return name


def check_value(value: str) -> str:
    """``value``, where a plain variable may hold it. Raises ``Invalid`` with the field."""
    if "\0" in value:
        raise _refused("value", "The value holds a NUL character, which no variable can.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise _refused("value", "The value is not valid text; type it again.") from None
    if size > MOST_VALUE_BYTES:
        raise _refused(
            "value",
            f"The value has {size:,} bytes and may have {MOST_VALUE_BYTES:,}; put what is longer"
            " into a file of the strategy.",
        )
    return value


def check_secret(value: str) -> str:
    """``value``, where a secret may hold it. Raises ``Invalid`` with the field."""
    check_value(value)
    if len(value.strip()) < LEAST_SECRET_CHARACTERS:
        raise _refused(
            "value",
            f"A secret has at least {LEAST_SECRET_CHARACTERS} characters: a shorter one cannot be"
            " masked in the output. Keep it as a variable if it is none.",
        )
    return value


def _refused(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, code=f"BAD_{field.upper()}", details={"field": field})
