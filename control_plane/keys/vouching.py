"""What Envoys are told of the gateway's own tokens: the keys that verify them, and which tokens are in doubt.

It follows what the services are told, at once and past every configuration. A token is in doubt once its key or its
consumer is another than it was, or gone, until all that was issued before is dead; and while it is not known what
happened since it was issued. The authorizer is asked about those, as about all that Envoy does not vouch for.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig

from control_plane.evolving import Evolving
from control_plane.ir.model import Gateway
from control_plane.ir.native import own_tokens
from control_plane.server.ads import Ads
from control_plane.server.types import ENVOYS
from control_plane.snapshot import EMPTY, Resource, Snapshot, resource
from control_plane.xds.filters.native import own
from control_plane.xds.names import EXTENSION_TYPE
from control_plane.xds.packing import serialized
from service_kit.clock import Clock
from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE, SIGNING_KEYS_NAME, SIGNING_KEYS_TYPE
from service_kit.gateway_tokens import LEEWAY, LONGEST_LIFETIME, SigningKey, public_keys, signing_key
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

# Seconds for which an authorizer may go on by what it knew, on a clock of its own.
LATE: Final = LEEWAY + 5
# Seconds after which no token is left of what was before a change.
DOUBTED: Final = LONGEST_LIFETIME + LEEWAY + LATE
# Keys and consumers that Envoy compares each token with; with more, all that were issued until now are in doubt.
MOST_DOUBTED: Final = 256

Ends = dict[str, float]


class Vouching:
    """What Envoys vouch for. They are told nothing before a configuration wants that, and the truth ever after."""

    def __init__(self, ads: Ads, clock: Clock) -> None:
        self._ads = ads
        self._clock = clock
        self._gateway: Gateway | None = None
        self._ring: tuple[SigningKey, ...] = ()
        self._known_since: float | None = None  # the stored keys
        self._is_begun = False
        self._keys: Ends = {}
        self._consumers: Ends = {}
        self._all: tuple[int, float] | None = None  # issued before when, and until when that matters
        self._changed = asyncio.Event()
        self._named: Evolving[Resource] | None = None
        self._said: tuple[int, tuple[SigningKey, ...], own.Doubts] | None = None

    @property
    def told(self) -> Snapshot:
        """What Envoys are told now."""
        return EMPTY if self._named is None else Snapshot(MappingProxyType({EXTENSION_TYPE: self._named}))

    def running(self, told: Snapshot) -> dict[str, bool]:
        """The connected Envoys that judge tokens, and whether they run this, or what came of it."""
        return self._ads.running(ENVOYS.cluster, told)

    def follow(self, gateway: Gateway) -> None:
        """Another configuration is live: what it declares otherwise is in doubt."""
        before = self._gateway
        if before is not None:
            self._doubt(self._keys, _unlike(_keys(before), _keys(gateway)))
            self._doubt(self._consumers, _unlike(_consumers(before), _consumers(gateway)))
        self._gateway = gateway
        self._tell()

    def tell(self, before: Snapshot, after: Snapshot) -> None:
        """The services are told this, after that."""
        now = self._clock.now()
        if self._known_since is None and API_KEY_TYPE in after.resources:
            self._known_since = now
        self._doubt(
            self._keys, (name for name, key in _altered(before, after, API_KEY_TYPE) if not _has_ended(key, now))
        )
        self._doubt(self._consumers, (name for name, _ in _altered(before, after, CONSUMER_TYPE)))
        if before.of(SIGNING_KEYS_TYPE) is not after.of(SIGNING_KEYS_TYPE):
            self._ring = _ring(after)
        self._begin()
        self._tell()

    async def run(self) -> None:
        """Forgets what is in doubt no more, forever."""
        while True:
            self._changed.clear()
            if self._forget(self._clock.monotonic()):
                self._tell()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._next_end()):
                    await self._changed.wait()

    def _begin(self) -> None:
        """Of tokens that were signed before the stored keys were known, nobody here knows what became of them."""
        if self._is_begun or self._known_since is None or not self._ring:
            return
        self._is_begun = True
        if min(key.signs_from for key in self._ring) < int(self._known_since):
            self._doubt_all()

    def _doubt(self, doubted: Ends, names: Iterable[str]) -> None:
        doubted.update(dict.fromkeys(names, self._clock.monotonic() + DOUBTED))
        if len(self._keys) + len(self._consumers) > MOST_DOUBTED:
            self._keys.clear()
            self._consumers.clear()
            self._doubt_all()

    def _doubt_all(self) -> None:
        self._all = int(self._clock.now()) + LATE, self._clock.monotonic() + DOUBTED

    def _forget(self, now: float) -> bool:
        """Whether anything is in doubt no more."""
        ended = [(ends, name) for ends in (self._keys, self._consumers) for name, end in ends.items() if end <= now]
        for ends, name in ended:
            del ends[name]
        all_ended = self._all is not None and self._all[1] <= now
        if all_ended:
            self._all = None
        return bool(ended) or all_ended

    def _next_end(self) -> float | None:
        """Seconds until then."""
        ends = [*self._keys.values(), *self._consumers.values()]
        if self._all is not None:
            ends.append(self._all[1])
        return max(min(ends) - self._clock.monotonic(), 0.0) if ends else None

    def _tell(self) -> None:
        self._changed.set()
        gateway = self._gateway
        if gateway is None or (own_tokens(gateway) is None and self._named is None):
            return
        doubts = own.Doubts(
            tuple(sorted(self._keys)), tuple(sorted(self._consumers)), 0 if self._all is None else self._all[0]
        )
        ring = () if self._known_since is None else self._ring
        if self._said == (id(gateway), ring, doubts):
            return
        self._said = id(gateway), ring, doubts
        self._put(own.content(gateway, public_keys(ring) if ring else None, doubts))

    def _put(self, content: Iterable[TypedExtensionConfig]) -> None:
        made = {item.name: resource(EXTENSION_TYPE, item.name, serialized(item)) for item in content}
        before: Evolving[Resource] = Evolving.of({}) if self._named is None else self._named
        changed = {name: item for name, item in made.items() if before.get(name) != item}
        if changed:
            self._named = before.changed(changed)
            self._ads.set_beside(ENVOYS.cluster, self.told)


def _keys(gateway: Gateway) -> Mapping[str, object]:
    return {key.id: key for key in gateway.declared_keys}


def _consumers(gateway: Gateway) -> Mapping[str, object]:
    return {consumer.name: consumer for consumer in gateway.consumers}


def _unlike(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    """The names of what is gone, or not what it was."""
    return (name for name, item in before.items() if after.get(name) != item)


def _altered(before: Snapshot, after: Snapshot, type_url: str) -> Iterator[tuple[str, Resource]]:
    """What was there, and is gone or not what it was."""
    old, new = before.of(type_url), after.of(type_url)
    if new is old:
        return
    names = new.since(old) if isinstance(new, Evolving) else None
    for name in old if names is None else names:
        was = old.get(name)
        if was is not None and new.get(name) != was:
            yield name, was


def _has_ended(key: Resource, now: float) -> bool:
    """Whether its time was up, and with it that of all its tokens."""
    expires = policy_pb.ApiKey.FromString(key.body).expires
    return 0 < expires <= now


def _ring(told: Snapshot) -> tuple[SigningKey, ...]:
    message = policy_pb.SigningKeys.FromString(told.of(SIGNING_KEYS_TYPE)[SIGNING_KEYS_NAME].body)
    return tuple(signing_key(key.private_key, key.signs_from) for key in message.keys)
