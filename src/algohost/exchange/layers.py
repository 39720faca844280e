"""A table laid over another: drafts change it and leave the one beneath as it is."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final, TypeVar, cast

K = TypeVar("K")
V = TypeVar("V")

_GONE: Final = object()


class Layer(MutableMapping[K, V]):
    """``below`` with changes of its own, in the order that one dictionary would have.

    Making one costs nothing however large ``below`` is. ``below`` may change only as this has
    changed before it: by ``given_to``, of this or of layers that this was given.
    """

    __slots__ = ("_below", "_changed")

    def __init__(self, below: Mapping[K, V]) -> None:
        self._below = below
        self._changed: dict[K, V | object] = {}

    def own(self) -> Mapping[K, V]:
        """What it has put over ``below``, without what it took away."""
        kept = {key: value for key, value in self._changed.items() if value is not _GONE}
        return cast("Mapping[K, V]", kept)

    def own_value(self, key: K) -> V | None:
        """What it has put over ``below`` under ``key``."""
        found = self._changed.get(key)
        return None if found is _GONE else cast("V | None", found)

    def given_to(self, table: MutableMapping[K, V]) -> None:
        """Changes ``table`` as this has changed what is below it."""
        for key, value in self._changed.items():
            if value is _GONE:
                table.pop(key, None)
            else:
                table[key] = cast("V", value)

    def __getitem__(self, key: K) -> V:
        found = self._changed.get(key, self)
        if found is self:
            return self._below[key]
        if found is _GONE:
            raise KeyError(key)
        return cast("V", found)

    def get(self, key: K, default: Any = None) -> Any:
        """As ``Mapping.get``, without an exception for what is not there."""
        found = self._changed.get(key, self)
        if found is self:
            return self._below.get(key, default)
        return default if found is _GONE else found

    def __contains__(self, key: object) -> bool:
        found = self._changed.get(cast("K", key), self)
        return key in self._below if found is self else found is not _GONE

    def __setitem__(self, key: K, value: V) -> None:
        self._changed[key] = value

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self._changed[key] = _GONE

    def __len__(self) -> int:
        below, changed = self._below, self._changed.items()
        new = sum(value is not _GONE and key not in below for key, value in changed)
        return len(below) + new - sum(value is _GONE and key in below for key, value in changed)

    def __iter__(self) -> Iterator[K]:
        for key in self._below:
            if self._changed.get(key) is not _GONE:
                yield key
        for key, value in self._changed.items():
            if value is not _GONE and key not in self._below:
                yield key
