"""What operators do with the gateway's own tokens: mint one for development, and replace what they are signed with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from control_plane.config import model as config
from control_plane.ir import model as ir
from control_plane.ir.identity import declared_api_keys
from control_plane.keys.entries import KeyState, StoredKey
from control_plane.keys.errors import BadEntry, Conflict, NotFound
from control_plane.keys.identities import MOST_AT_ONCE, Identities
from control_plane.keys.stored import StoredIdentities
from service_kit.api_keys import RandomBytes
from service_kit.clock import Clock
from service_kit.gateway_tokens import Holder, Terms, minted, signing
from service_kit.identity_part import models_part


@dataclass(frozen=True)
class MintedToken:
    """A token, for which key of whom, what it may, and when it ends, in seconds since the epoch."""

    token: str = field(repr=False)
    key: str
    consumer: str
    scopes: tuple[str, ...] = ()
    expires: int = 0


@dataclass(frozen=True)
class MintSpec:
    """What is asked for; empty: left to the key. `lifetime` in seconds."""

    consumer: str
    key: str
    scopes: tuple[str, ...]
    lifetime: int


class TokenOperations:
    """Each raises nothing but an IdentityError; `live` is the configuration that is live."""

    def __init__(
        self, stored: StoredIdentities, live: Callable[[], config.Config], clock: Clock, random_bytes: RandomBytes
    ) -> None:
        self._identities: Identities = stored.identities
        self._signing = stored.signing
        self._live = live
        self._clock = clock
        self._random_bytes = random_bytes

    async def mint(self, spec: MintSpec) -> MintedToken:
        """A token as a client would get it that shows the key."""
        source, ring, now = self._live(), await self._signing.current(), self._clock.now()
        terms, key = _terms(source), signing(ring, now)
        if key is None:
            raise Conflict("there is nothing to sign with yet", "try again in a moment")
        if not spec.consumer and not spec.key:
            raise BadEntry("consumer: it is missing", "name a consumer, or a key")
        if spec.lifetime > terms.lifetime:
            raise BadEntry(
                "lifetime: it is longer than `identity.tokens.lifetime`", f"choose at most {terms.lifetime}s"
            )
        holder = await self._holder(spec, source)
        holder = await self._owned(holder, source)
        token = minted(key, terms, holder, now=now, random_bytes=self._random_bytes, lifetime=spec.lifetime or None)
        return MintedToken(token.token, holder.key_id, holder.consumer, holder.scopes, int(now) + token.lifetime)

    async def replace_signing_keys(self) -> str:
        """The name of the key that signs now."""
        return (await self._signing.replace())[-1].id

    async def _holder(self, spec: MintSpec, source: config.Config) -> Holder:
        """The key that is meant: of those that hold the scopes the newest, a stored one before a declared one."""
        now = self._clock.now()
        stored = [_of_stored(key) for key in await self._stored(spec) if key.state(now) is KeyState.ACTIVE]
        holders = [*map(_of_declared, declared_api_keys(source)), *stored]
        live = [holder for holder in holders if _is_meant(spec, holder) and not 0 < holder.expires <= now]
        if not live:
            whose = f"there is no key {spec.key!r}" if spec.key else f"the consumer {spec.consumer!r} has no key"
            raise NotFound(f"{whose} that works", "make one with `tollgate keys create`")
        return _narrowed(live, frozenset(spec.scopes))

    async def _owned(self, holder: Holder, source: config.Config) -> Holder:
        """With what its consumer brings."""
        declared = next((item for item in source.consumers if item.name == holder.consumer), None)
        owner = declared or await self._identities.consumer(holder.consumer)
        return replace(holder, tenant=owner.tenant, plan=holder.plan or owner.plan or source.defaults.plan)

    async def _stored(self, spec: MintSpec) -> Sequence[StoredKey]:
        if spec.key:
            return () if spec.key in _declared_ids(self._live()) else (await self._identities.key(spec.key),)
        found: list[StoredKey] = []
        while len(page := await self._page(spec.consumer, found)) == MOST_AT_ONCE:
            found += page
        return (*found, *page)

    async def _page(self, consumer: str, before: Sequence[StoredKey]) -> Sequence[StoredKey]:
        after = before[-1].id if before else None
        return await self._identities.keys(consumer=consumer, after=after, limit=MOST_AT_ONCE)


def _terms(source: config.Config) -> Terms:
    tokens = source.identity.tokens
    if tokens is None:
        raise Conflict("this gateway issues no tokens", "write `identity.tokens`")
    return Terms(tokens.issuer, tuple(sorted(tokens.audiences)), tokens.lifetime)


def _narrowed(live: Sequence[Holder], scopes: frozenset[str]) -> Holder:
    """The last key that holds the scopes, with these alone; with all of its own where none are asked for."""
    holding = [holder for holder in live if scopes.issubset(holder.scopes)]
    if not holding:
        lacking = min(scopes.difference(live[-1].scopes))
        raise BadEntry(f"scopes: the key {live[-1].key_id} does not hold {lacking!r}", "choose among its scopes")
    return replace(holding[-1], scopes=tuple(sorted(scopes))) if scopes else holding[-1]


def _is_meant(spec: MintSpec, holder: Holder) -> bool:
    return spec.key in {"", holder.key_id} and spec.consumer in {"", holder.consumer}


def _declared_ids(source: config.Config) -> frozenset[str]:
    return frozenset(key.id for key in declared_api_keys(source))


def _of_declared(key: ir.ApiKey) -> Holder:
    return Holder(
        key_id=key.id,
        consumer=key.consumer,
        tenant=None,
        plan=key.plan,
        scopes=key.scopes,
        roles=key.roles,
        expires=key.expires or 0,
        anywhere=not key.allow_ips,
        models=_models(key.models),
    )


def _of_stored(key: StoredKey) -> Holder:
    spec = key.spec
    return Holder(
        key_id=key.id,
        consumer=spec.consumer,
        tenant=None,
        plan=spec.plan,
        scopes=tuple(spec.scopes),
        roles=tuple(spec.roles),
        expires=spec.expires or 0,
        anywhere=not spec.allow_ips,
        models=_models(spec.models or None),
    )


def _models(patterns: Sequence[str] | None) -> str | None:
    return None if patterns is None else models_part(patterns)
