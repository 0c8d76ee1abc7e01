"""API keys and the consumers they name: those of the configuration, and those that were made at run time.

A stored one comes and goes alone: a change costs what it changes, however many there are. Of a change that cannot be
read nothing is added, and what it names is known no longer: it may have been meant to revoke just that.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from authz_service.networks import Networks
from authz_service.wire import optional, parsed, part
from service_kit.api_keys import HASH_LENGTH, SHORTEST_PEPPER
from service_kit.identity_part import UnusablePart, models_part
from service_kit.subscription import PolicyRejected
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key by its hash, and what it is for. `networks` None: from everywhere; `expires` 0: never."""

    id: str
    hash: bytes = field(repr=False)
    consumer: str
    plan: str | None
    scopes: frozenset[str]
    roles: frozenset[str]
    networks: Networks | None
    expires: int
    # As the part of an identity; None: not restricted.
    models: str | None = None


@dataclass(frozen=True, slots=True)
class Consumer:
    """What a known consumer brings, whatever its credential says."""

    tenant: str | None
    plan: str | None


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Where keys are looked for, under what they are hashed, and whether upstreams get them."""

    headers: tuple[str, ...]
    query: str | None
    cookie: str | None
    pepper: bytes = field(repr=False)
    forward: bool
    report_addresses: bool


class Stored:
    """Keys by id and consumers by encoded name, as the control plane tells them."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.consumers: dict[str, Consumer] = {}

    def change_keys(self, changed: Mapping[str, bytes], removed: Collection[str]) -> None:
        """Takes the change, or forgets what it names; PolicyRejected says what of it cannot be read."""
        _change(self.keys, changed, removed, _stored_key)

    def change_consumers(self, changed: Mapping[str, bytes], removed: Collection[str]) -> None:
        """The same of consumers."""
        _change(self.consumers, changed, removed, _stored_consumer)


def key_settings(message: policy_pb.ApiKeySettings) -> KeySettings:
    """The settings in this message."""
    if len(message.pepper) < SHORTEST_PEPPER:
        raise PolicyRejected(f"the pepper of the API keys is shorter than {SHORTEST_PEPPER} bytes")
    if not message.headers and not message.query and not message.cookie:
        raise PolicyRejected("API keys are looked for nowhere: name a header, a query parameter or a cookie")
    return KeySettings(
        headers=tuple(name.lower() for name in message.headers),
        query=message.query or None,
        cookie=message.cookie or None,
        pepper=message.pepper,
        forward=message.forward,
        report_addresses=message.report_addresses,
    )


def api_key(message: policy_pb.ApiKey) -> ApiKey:
    """The key in this message."""
    what = f"API key {message.id!r}"
    if len(message.hash) != HASH_LENGTH:
        raise PolicyRejected(f"{what} has no HMAC-SHA-256")
    return ApiKey(
        id=part(message.id, "an API key's id"),
        hash=message.hash,
        consumer=_shared(part(message.consumer, f"consumer of {what}")),
        plan=_shared(optional(message.plan, f"plan of {what}")),
        scopes=_shared(frozenset(message.scopes)),
        roles=_shared(frozenset(message.roles)),
        networks=_networks(tuple(message.allow_ips), what) if message.allow_ips else None,
        expires=message.expires,
        models=_shared(_models(message.models.patterns, what) if message.HasField("models") else None),
    )


def consumer(message: policy_pb.Consumer) -> Consumer:
    """The consumer in this message."""
    what = f"of consumer {message.name!r}"
    return Consumer(
        tenant=_shared(optional(message.tenant, f"tenant {what}")), plan=_shared(optional(message.plan, f"plan {what}"))
    )


def _change(
    table: dict[str, T], changed: Mapping[str, bytes], removed: Collection[str], read: Callable[[str, bytes], T]
) -> None:
    for name in (*removed, *changed):  # first: whatever fails below, nothing that was revoked stays
        table.pop(name, None)
    table.update({name: read(name, data) for name, data in changed.items()})


def _stored_key(name: str, data: bytes) -> ApiKey:
    message = parsed(policy_pb.ApiKey, data, f"API key {name!r}")
    if message.id != name:
        raise PolicyRejected(f"API key {name!r} says that it is {message.id!r}")
    return api_key(message)


def _stored_consumer(name: str, data: bytes) -> Consumer:
    message = parsed(policy_pb.Consumer, data, f"consumer {name!r}")
    # Credentials name consumers in the characters in which a name travels.
    if message.name != name or part(name, "a consumer's name") != name:
        raise PolicyRejected(f"consumer {name!r} has no usable name")
    return consumer(message)


@lru_cache(maxsize=4096)
def _shared(value: T) -> T:
    """One object for all that are equal: a hundred thousand keys have few consumers, plans and sets of scopes."""
    return value


def _networks(written: tuple[str, ...], what: str) -> Networks:
    try:
        return _same_networks(written)
    except ValueError as error:
        raise PolicyRejected(f"{what} is allowed from what is no network") from error


def _models(patterns: Iterable[str], what: str) -> str:
    try:
        return models_part(patterns)
    except UnusablePart as error:
        raise PolicyRejected(f"what models {what} may call {error}") from error


_same_networks = lru_cache(maxsize=4096)(Networks)
