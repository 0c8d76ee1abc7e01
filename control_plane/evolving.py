"""A large immutable mapping of versioned things, of which the next one is made in the time that the change takes.

All that came of one beginning share one dictionary, which is that of the newest. One that was superseded knows what was
different in it: reading from it takes a look at what has changed since, and whoever forgets it forgets that too. So the
version of all, and what sets two of them apart, cost what changed and not what is there.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

DIGEST_BYTES = 16
_MODULUS = 1 << (8 * DIGEST_BYTES)


class Versioned(Protocol):
    """A thing with a name and a version of its content."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...


T = TypeVar("T", bound=Versioned)


@dataclass(frozen=True, slots=True)
class _Later(Generic[T]):
    """What came of a mapping: the next one, and what this one held under the names that changed (None: nothing)."""

    next: "Evolving[T]"
    before: Mapping[str, T | None]


class Evolving(Mapping[str, T]):
    """Things by name. `changed` makes the next mapping and leaves this one as it is."""

    __slots__ = ("_digest", "_items", "_later", "_size", "number")

    def __init__(self, items: dict[str, T], digest: int, number: int) -> None:
        self._items = items
        self._digest = digest
        self._size = len(items)
        self._later: _Later[T] | None = None
        self.number = number

    @classmethod
    def of(cls, items: Mapping[str, T]) -> "Evolving[T]":
        """A beginning."""
        return cls(dict(items), sum(map(_digest, items.values())) % _MODULUS, 0)

    @property
    def version(self) -> str:
        """Of the content: two that hold the same have the same, whatever they came of."""
        return f"{self._digest:0{2 * DIGEST_BYTES}x}"

    def changed(self, changed: Mapping[str, T], removed: Collection[str] = ()) -> "Evolving[T]":
        """With these things, and without what has these names."""
        if self._later is not None:
            return Evolving.of(dict(self)).changed(changed, removed)
        items, digest = self._items, self._digest
        before = {name: items.get(name) for name in (*changed, *removed)}
        for name in removed:
            items.pop(name, None)
        items.update(changed)
        for name, old in before.items():
            new = items.get(name)
            digest += (0 if new is None else _digest(new)) - (0 if old is None else _digest(old))
        found = Evolving(items, digest % _MODULUS, self.number + 1)
        self._later = _Later(found, before)
        return found

    def follows(self, other: Mapping[str, T]) -> bool:
        """Whether this is the other one, or came of it."""
        return other is self or any(step.next is self for step in _steps(other))

    def since(self, other: Mapping[str, T]) -> frozenset[str] | None:
        """The names under which this may differ from one that it came of; None where it did not come of it."""
        names: set[str] = set()
        for step in _steps(other):
            names.update(step.before)
            if step.next is self:
                return frozenset(names)
        return None

    def __getitem__(self, name: str) -> T:
        if self._later is None:
            return self._items[name]
        found = self._superseded(name)
        if found is None:
            raise KeyError(name)
        return found

    def __eq__(self, other: object) -> bool:
        """By their versions, which is quick."""
        if not isinstance(other, Evolving):
            return NotImplemented
        return self is other or (self._size, self._digest) == (other._size, other._digest)

    __hash__ = None  # type: ignore[assignment]  # as that of any mapping

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        """Of one that was superseded, those that are gone come last."""
        if self._later is None:
            return iter(self._items)
        before: dict[str, T | None] = {}
        for step in _steps(self):
            for name, item in step.before.items():
                before.setdefault(name, item)
        kept = [name for name in self._items if name not in before]
        return iter([*kept, *(name for name, item in before.items() if item is not None)])

    def _superseded(self, name: str) -> T | None:
        for step in _steps(self):
            if name in step.before:
                return step.before[name]
        return self._items.get(name)


def _steps(named: Mapping[str, T]) -> Iterator[_Later[T]]:
    """What came of the mapping, one after the other."""
    while isinstance(named, Evolving) and named._later is not None:  # noqa: SLF001 - of its own kind
        yield named._later  # noqa: SLF001 - as above
        named = named._later.next  # noqa: SLF001 - as above


def _digest(item: Versioned) -> int:
    """Sums of these do not depend on an order, and nobody chooses the versions in them."""
    text = f"{item.name}\0{item.version}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest())
