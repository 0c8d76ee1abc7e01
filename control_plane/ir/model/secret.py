"""Secrets inside the representation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Secret:
    """Bytes that never show in a repr, a log or a diff."""

    _value: bytes

    def reveal(self) -> bytes:
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"
