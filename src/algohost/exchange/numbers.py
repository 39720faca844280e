"""How orders and trades are numbered: digits only, as brokers do, and the same on every replay.

    261121 482913 000042
    │      │      └ the account's own count of orders (or trades), at least six digits, never reset
    │      └ the account's number, six digits, kept in its ``AccountOpened``
    └ the day in IST on which it was made

The count makes a number unique inside an account whatever the market's clock does (a recording
may play one day twice); the account's number keeps two accounts apart. Eighteen digits fit a
signed 64-bit integer, into which some clients put them.
"""

import hashlib
from datetime import datetime
from typing import Final

from algohost.domain.ids import IST, AccountId

_DAY_DIGITS: Final = 6
_ACCOUNT_DIGITS: Final = 6
ACCOUNT_NUMBERS: Final = 10**_ACCOUNT_DIGITS
"""How many account numbers there are: 0 to 999999."""


def preferred_account_number(account_id: AccountId) -> int:
    """The number an account asks for: from the SHA-256 of its id, so that order cannot matter.

    Two ids may prefer one number; whoever opens accounts gives the second the next free one.
    """
    return int.from_bytes(hashlib.sha256(account_id.encode()).digest()[:8]) % ACCOUNT_NUMBERS


def numbered(*, at: datetime, account_number: int, serial: int) -> str:
    """The number of the order or trade ``serial`` (1, 2, 3, …) of an account, made at ``at``."""
    day = at.astimezone(IST)
    date = f"{day.year % 100:02d}{day.month:02d}{day.day:02d}"  # a third of what strftime takes
    return f"{date}{account_number:0{_ACCOUNT_DIGITS}d}{serial:06d}"


def serial_of(number: str) -> int:
    """The account's own count in a number that ``numbered`` made; 0 for any other text."""
    serial = number[_DAY_DIGITS + _ACCOUNT_DIGITS :]
    return int(serial) if serial.isascii() and serial.isdigit() else 0
