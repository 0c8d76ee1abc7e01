"""What operators do with stored keys and consumers, and the answers as plain data: one shape for gRPC, HTTP and CLI.

The JSON of an answer is that of its message in protos/tollgate/admin/v1/keys.proto; times are seconds since the epoch,
and 0 is never. A key's text is in the answer to whoever made it, and nowhere else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter

from control_plane.keys.distribution import Told
from control_plane.keys.entries import ConsumerChange, ConsumerSpec, KeySpec, NewKey, StoredConsumer, StoredKey
from control_plane.keys.stored import StoredIdentities
from control_plane.operations.tokens import MintedToken, MintSpec, TokenOperations
from service_kit.clock import Clock

SERVICE: Final = "tollgate.admin.v1.IdentityAdmin"
# Entries of a page where a caller names no number, and the most there are.
PAGE: Final = 100
LONGEST_PAGE: Final = 1_000

T = TypeVar("T")


@dataclass(frozen=True)
class ToldReport:
    """How many connected services run the change, and which have not said so yet."""

    services: int
    waiting: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class KeyReport:
    """A key, but for what opens anything."""

    id: str
    consumer: str
    plan: str = ""
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    allow_ips: tuple[str, ...] = ()
    state: str = ""
    created_at: int = 0
    created_by: str = ""
    expires: int = 0
    revoked_at: int = 0
    revoked_by: str = ""
    rotated_to: str = ""
    last_used: int = 0
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConsumerReport:
    """A stored consumer."""

    name: str
    tenant: str = ""
    plan: str = ""
    created_at: int = 0
    created_by: str = ""


@dataclass(frozen=True)
class IssuedKey:
    """A key that was just made."""

    id: str
    key: str = field(repr=False)
    details: KeyReport
    told: ToldReport


@dataclass(frozen=True)
class RevokedKey:
    """A key that opens nothing any more."""

    details: KeyReport
    told: ToldReport


@dataclass(frozen=True)
class KeysReport:
    """A page of keys; `more` is what the next one begins after."""

    keys: tuple[KeyReport, ...]
    more: str = ""


@dataclass(frozen=True)
class ChangedConsumer:
    """A consumer as it is now."""

    details: ConsumerReport
    told: ToldReport


@dataclass(frozen=True)
class ConsumersReport:
    """A page of consumers; `more` is what the next one begins after."""

    consumers: tuple[ConsumerReport, ...]
    more: str = ""


@dataclass(frozen=True)
class DeletedConsumer:
    """A consumer that is no more, and how many keys were revoked with it."""

    name: str
    revoked: int
    told: ToldReport


@dataclass(frozen=True)
class ReplacedSigningKeys:
    """The name of the key that signs tokens now."""

    kid: str
    told: ToldReport


class IdentityOperations:
    """The operations; each raises nothing but an IdentityError. Changes return when the services run them."""

    def __init__(
        self, stored: StoredIdentities, tokens: TokenOperations, clock: Clock, registry: CollectorRegistry
    ) -> None:
        self._tokens = tokens
        self._identities = stored.identities
        self._distribution = stored.distribution
        self._clock = clock
        self._made = Counter(
            "tollgate_identity_operations",
            "What was asked of stored keys and consumers",
            ["operation", "result"],
            registry=registry,
        )

    def counted(self, operation: str, error: Exception | None) -> None:
        """Counts an operation by what became of it."""
        self._made.labels(operation, "done" if error is None else type(error).__name__).inc()

    async def create_key(self, spec: KeySpec, by: str) -> IssuedKey:
        return await self._issued(await self._identities.create_key(spec, by=by))

    async def rotate_key(self, key_id: str, overlap: float, by: str) -> IssuedKey:
        return await self._issued(await self._identities.rotate(key_id, overlap=overlap, by=by))

    async def revoke_key(self, key_id: str, by: str) -> RevokedKey:
        key = await self._identities.revoke(key_id, by=by)
        return RevokedKey(self._key(key), await self._told())

    async def keys(self, consumer: str, after: str, limit: int) -> KeysReport:
        found = await self._identities.keys(consumer=consumer or None, after=after or None, limit=_page(limit))
        return KeysReport(tuple(map(self._key, found)), _more(found, limit, lambda key: key.id))

    async def create_consumer(self, spec: ConsumerSpec, by: str) -> ChangedConsumer:
        consumer = await self._identities.create_consumer(spec, by=by)
        return ChangedConsumer(_consumer(consumer), await self._told())

    async def consumer(self, name: str) -> ConsumerReport:
        return _consumer(await self._identities.consumer(name))

    async def update_consumer(self, name: str, change: ConsumerChange, by: str) -> ChangedConsumer:
        consumer = await self._identities.update_consumer(name, change, by=by)
        return ChangedConsumer(_consumer(consumer), await self._told())

    async def delete_consumer(self, name: str, by: str) -> DeletedConsumer:
        revoked = await self._identities.delete_consumer(name, by=by)
        return DeletedConsumer(name, revoked, await self._told())

    async def consumers(self, after: str, limit: int) -> ConsumersReport:
        found = await self._identities.consumers(after=after, limit=_page(limit))
        return ConsumersReport(tuple(map(_consumer, found)), _more(found, limit, lambda consumer: consumer.name))

    async def mint_token(self, spec: MintSpec) -> MintedToken:
        return await self._tokens.mint(spec)

    async def replace_signing_keys(self) -> ReplacedSigningKeys:
        return ReplacedSigningKeys(await self._tokens.replace_signing_keys(), await self._told())

    async def _issued(self, made: NewKey) -> IssuedKey:
        return IssuedKey(made.key.id, made.text, self._key(made.key), await self._told())

    async def _told(self) -> ToldReport:
        return _told(await self._distribution.arrived())

    def _key(self, key: StoredKey) -> KeyReport:
        spec = key.spec
        return KeyReport(
            id=key.id,
            consumer=spec.consumer,
            plan=spec.plan or "",
            scopes=spec.scopes,
            roles=spec.roles,
            allow_ips=spec.allow_ips,
            state=key.state(self._clock.now()).value,
            created_at=key.created_at,
            created_by=key.created_by,
            expires=spec.expires or 0,
            revoked_at=key.revoked_at or 0,
            revoked_by=key.revoked_by or "",
            rotated_to=key.rotated_to or "",
            last_used=key.last_used or 0,
            models=spec.models,
        )


def _consumer(consumer: StoredConsumer) -> ConsumerReport:
    return ConsumerReport(
        consumer.name, consumer.tenant or "", consumer.plan or "", consumer.created_at, consumer.created_by
    )


def _told(told: Told) -> ToldReport:
    return ToldReport(told.services, told.waiting, round(told.seconds, 4))


def _page(limit: int) -> int:
    return min(limit, LONGEST_PAGE) or PAGE


def _more(found: Sequence[T], limit: int, name: Callable[[T], str]) -> str:
    """What the next page begins after; empty where this one is not full."""
    return name(found[-1]) if len(found) == _page(limit) else ""
