"""A table laid over another: drafts change it and leave the one beneath as it is."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Final, TypeVar, cast

K = TypeVar("K")
V = TypeVar("V")

_GONE: Final = object()


class Layer(MutableMapping[K, V]):
    """``below`` with changes of its own, in the order that one dictionary would have.

    Making one costs nothing however large ``below`` is. It is good only until ``below`` changes.
    """

    __slots__ = ("_below", "_changed", "_length")

    def __init__(self, below: Mapping[K, V]) -> None:
        self._below = below
        self._changed: dict[K, V | object] = {}
        self._length = len(below)

    def __getitem__(self, key: K) -> V:
        found = self._changed.get(key, self)
        if found is self:
            return self._below[key]
        if found is _GONE:
            raise KeyError(key)
        return cast("V", found)

    def __setitem__(self, key: K, value: V) -> None:
        self._length += key not in self
        self._changed[key] = value

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self._length -= 1
        self._changed[key] = _GONE

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[K]:
        for key in self._below:
            if self._changed.get(key) is not _GONE:
                yield key
        for key, value in self._changed.items():
            if value is not _GONE and key not in self._below:
                yield key
