"""What was seen lately, by key: bounded in number, whatever clients send."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Two generations: when the younger is full, the older is forgotten, but for what is asked for meanwhile.

    So keys that never come again push out others like them, and not those that are in use.
    """

    __slots__ = ("_old", "_size", "_young")

    def __init__(self, size: int) -> None:
        """``size`` is how many each generation holds."""
        self._size = size
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: Key) -> Value | None:
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: Key, value: Value) -> None:
        if len(self._young) >= self._size:
            self._old = self._young
            self._young = {}
        self._young[key] = value
