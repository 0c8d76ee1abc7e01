"""Keys and consumers as they are asked for, kept and shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class KeyState(StrEnum):
    """Whether a key opens anything."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class ConsumerSpec:
    """A person or system that calls; without a plan it has `defaults.plan`."""

    name: str
    tenant: str | None = None
    plan: str | None = None


@dataclass(frozen=True)
class ConsumerChange:
    """What becomes of a consumer: what is None stays, what is empty goes."""

    tenant: str | None = None
    plan: str | None = None

    def of(self, before: "StoredConsumer") -> ConsumerSpec:
        return ConsumerSpec(before.name, _or(self.tenant, before.tenant), _or(self.plan, before.plan))


def _or(asked: str | None, before: str | None) -> str | None:
    return before if asked is None else asked or None


@dataclass(frozen=True)
class StoredConsumer:
    """A consumer as it is kept. Times in seconds since the epoch."""

    name: str
    tenant: str | None
    plan: str | None
    created_at: int
    created_by: str


@dataclass(frozen=True)
class KeySpec:
    """What a key is to be: whose, what it holds, where it may come from, and when it ends.

    Without a plan it has its consumer's; an empty `allow_ips` allows all addresses; empty `models`, which are patterns,
    all that its plan may call; `expires` in seconds since the epoch, None for never.
    """

    consumer: str
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    plan: str | None = None
    allow_ips: tuple[str, ...] = ()
    expires: int | None = None
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredKey:
    """A key as it is kept, but for its hash. `rotated_to` is the id of the key that takes its place."""

    id: str
    spec: KeySpec
    created_at: int
    created_by: str
    rotated_to: str | None
    revoked_at: int | None
    revoked_by: str | None
    last_used: int | None

    def state(self, now: float) -> KeyState:
        if self.revoked_at is not None:
            return KeyState.REVOKED
        expired = self.spec.expires is not None and self.spec.expires <= now
        return KeyState.EXPIRED if expired else KeyState.ACTIVE


@dataclass(frozen=True)
class NewKey:
    """A key that was just made; its text is shown this once and kept nowhere."""

    key: StoredKey
    text: str = field(repr=False)


@dataclass(frozen=True)
class Declared:
    """What the live configuration declares: names that are taken, plans there are, and models by their aliases."""

    consumers: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    plans: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)


NOTHING_DECLARED: Final = Declared()
