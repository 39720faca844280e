"""Changed copies of values, on ways where every order waits."""

from typing import TypeVar

V = TypeVar("V")


def changed(value: V, /, **changes: object) -> V:
    """What ``dataclasses.replace`` returns, in a fifth of its time.

    For a frozen dataclass without slots that checks nothing when it is made: its fields are
    copied as they are. Raises ``TypeError`` for a name that is no field.
    """
    fields = vars(value)
    copied = {**fields, **changes}
    if len(copied) != len(fields):
        raise TypeError(f"{type(value).__name__} has no field {set(changes) - set(fields)}.")
    copy = object.__new__(type(value))
    vars(copy).update(copied)
    return copy
