"""A service's side of ADS: its policies from the wire, the last good ones from disk while the control plane is away.

Every change goes to the consumer first; only what it took is acknowledged, kept and written down.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import grpc
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb
from google.protobuf.message import DecodeError
from google.rpc import code_pb2 as code_pb
from google.rpc import status_pb2 as status_pb
from prometheus_client import CollectorRegistry, Counter, Gauge

from service_kit import contract
from service_kit.clock import Clock
from service_kit.credentials import Certificates, Credentials
from service_kit.endpoint import Endpoint, EndpointError, UnixEndpoint
from service_kit.log import Logger
from service_kit.policy_cache import CacheError, Held, PolicyFile
from service_kit.policy_database import PolicyDatabase
from service_kit.race import first_ended

DELTA_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
WILDCARD = "*"
DATABASE_SUFFIX = ".resources"  # of the database, in place of that of the file

BACKOFF_SECONDS = (0.1, 2.0)
# Seconds until what could not be written is tried again: what was taken away is on the disk till then.
WRITE_AGAIN = 5.0
# How often the files of mutual TLS are looked at while connected.
CERTIFICATES_POLL = 2.0
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.keepalive_time_ms", 10_000),  # a control plane whose host vanished is noticed
    ("grpc.keepalive_timeout_ms", 5_000),
    # The backoff is ours: without these, gRPC adds its own and shares it between channels.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)

# xds-protos has no annotations: a request or response is Any.
Message = Any
Call = grpc.aio.StreamStreamCall[Message, bytes]


class PolicyRejected(Exception):  # noqa: N818 - a verdict, not a fault of the program
    """A policy change that cannot be used; the message goes to the control plane as the NACK's reason."""


class UnreadableResponse(Exception):  # noqa: N818 - what was said, not a fault of the program
    """The control plane said what is no response: the stream is left, and what was taken stays."""


class PolicyConsumer(Protocol):
    """Who uses the policies."""

    def apply(self, type_url: str, changed: Mapping[str, bytes], removed: Collection[str]) -> None:
        """Takes a change whole, or raises PolicyRejected and keeps what was; of BESIDE_TYPES not what it names."""

    @property
    def awaits(self) -> Collection[str]:
        """Of BESIDE_TYPES, those that must have been told before it can do what its policies say."""


class Cache(Protocol):
    """Where applied policies are kept for the next start; both raise CacheError."""

    def load(self) -> Mapping[str, Mapping[str, Held]]:
        """What was applied, by type and name; a type without any was applied empty."""

    def write(self, type_url: str, changed: Mapping[str, Held], removed: Collection[str]) -> None:
        """Keeps a change."""

    def forget(self, type_url: str) -> None:
        """Keeps nothing of a type from now on but what is written."""


class PolicySubscription:
    """Keeps a consumer's policies current; `ready` is set once there is all that it needs, from disk or wire.

    That is every type of policy, and of what is told beside them what the consumer awaits under these policies: where
    the control plane cannot read its keys, who needs none of them works.

    Of the types of identities there may be a hundred thousand resources: they are kept one by one, in a database beside
    the file of the others.
    """

    def __init__(
        self,
        *,
        control_plane: Endpoint,
        tls: Certificates | None,
        node_id: str,
        types: tuple[str, ...],
        consumer: PolicyConsumer,
        cache: Path,
        log: Logger,
        clock: Clock,
        registry: CollectorRegistry,
    ) -> None:
        self.ready = asyncio.Event()
        self._control_plane = control_plane
        self._tls = tls
        self._node_id = node_id
        self._types = types
        self._consumer = consumer
        self._policies = PolicyFile(cache)
        self._resources = PolicyDatabase(cache.with_suffix(DATABASE_SUFFIX))
        self._log = log
        self._clock = clock
        self._versions: dict[str, dict[str, str]] = {}
        self._writing = asyncio.Lock()
        self._unwritten: set[str] = set()  # types of which the disk lacks a change
        self._failures = 0
        self._connected = Gauge("tollgate_policy_connected", "1 while on a policy stream", registry=registry)
        self._updates = Counter(
            "tollgate_policy_updates", "Policy changes by type and result", ["type", "result"], registry=registry
        )
        self._updated_at = Gauge(
            "tollgate_policy_updated_timestamp_seconds", "When a change was last taken", registry=registry
        )
        unwritten = Gauge("tollgate_policy_unwritten", "Types of which the disk lacks a change", registry=registry)
        unwritten.set_function(lambda: len(self._unwritten))

    async def run(self) -> None:
        """Applies the cached policies, then follows the control plane forever."""
        if self._tls is None and not isinstance(self._control_plane, UnixEndpoint):
            raise EndpointError(
                f"policies hold secrets: to take them from {self._control_plane} give --tls-certificate, "
                "--tls-private-key and --tls-authority, or use a control plane on unix:/path/to.sock"
            )
        self._start_from_cache()
        await first_ended(self._follow_forever(), self._catch_up())

    async def _follow_forever(self) -> None:
        while True:
            failures = self._failures
            try:
                await self._follow()
            except grpc.aio.AioRpcError as error:
                self._report_loss(error.code().name, error.details())
            except UnreadableResponse as error:
                self._failures = failures  # though it was let in: the next attempt may wait longer
                self._report_loss("UNREADABLE", str(error))
            await asyncio.sleep(_backoff(self._failures))
            self._failures += 1

    def _start_from_cache(self) -> None:
        caches: tuple[Cache, ...] = (self._policies, self._resources)
        found: dict[str, Mapping[str, Held]] = {}
        for cache in caches:
            try:
                found.update(cache.load())
            except CacheError as error:
                self._log.warning("cached policies ignored", reason=str(error))
        for type_url in self._types:
            if type_url in found:
                self._restore(type_url, found[type_url])

    def _restore(self, type_url: str, named: Mapping[str, Held]) -> None:
        rejection = self._rejection(type_url, named, ())
        if rejection is not None:
            self._log.warning("cached policies ignored", type=type_url, reason=rejection)
            self._cache_of(type_url).forget(type_url)
            return
        self._keep(type_url, named, ())
        self._log.info("policies restored", type=type_url, count=len(named))

    def _rejection(self, type_url: str, changed: Mapping[str, Held], removed: Collection[str]) -> str | None:
        """Why the consumer does not take the change; None where it did."""
        try:
            self._consumer.apply(type_url, {name: held.body for name, held in changed.items()}, removed)
        except PolicyRejected as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - a policy that breaks its reader is refused; it would come again
            self._log.exception("policy not readable", type=type_url)
            return f"a fault while reading it: {error!r}"
        return None

    async def _follow(self) -> None:
        """One stream, until it ends or other certificates are to be used."""
        if self._tls is None or isinstance(self._control_plane, UnixEndpoint):
            async with channel(self._control_plane, None) as opened:
                await self._stream(opened)
            return
        used = self._tls.current()
        async with channel(self._control_plane, used) as opened:
            await first_ended(self._stream(opened), _replaced(self._tls, used))

    async def _stream(self, channel: grpc.aio.Channel) -> None:
        rpc: grpc.aio.StreamStreamMultiCallable[Message, bytes] = channel.stream_stream(
            DELTA_METHOD,
            request_serializer=discovery_pb.DeltaDiscoveryRequest.SerializeToString,
        )
        answers: asyncio.Queue[Message] = asyncio.Queue()
        call: Call = rpc(self._requests(answers))
        try:
            await call.initial_metadata()
            if not call.done():  # it was let in; where nothing is new nothing more is said
                self._connected.set(1)
                self._failures = 0
            async for data in call:
                await self._take(_response(data), answers)
        finally:
            self._connected.set(0)

    async def _requests(self, answers: asyncio.Queue[Message]) -> AsyncIterator[Message]:
        """A subscription to each type, with the versions at hand; then the answers to what comes."""
        node = base_pb.Node(id=self._node_id, cluster=contract.SERVICE_NODE_CLUSTER)
        for number, type_url in enumerate(self._types):
            yield discovery_pb.DeltaDiscoveryRequest(
                node=node if number == 0 else None,
                type_url=type_url,
                resource_names_subscribe=[WILDCARD],
                initial_resource_versions=self._versions.get(type_url, {}),
            )
        while True:
            yield await answers.get()

    async def _take(self, response: Message, answers: asyncio.Queue[Message]) -> None:
        """Applies a response, acknowledges or refuses it, and writes down what was taken."""
        type_url = response.type_url
        answer = discovery_pb.DeltaDiscoveryRequest(type_url=type_url, response_nonce=response.nonce)
        changed = {item.name: Held(item.version, item.resource.value) for item in response.resources}
        removed = tuple(response.removed_resources)
        rejection = _other_type(response) or self._rejection(type_url, changed, removed)
        if rejection is not None:
            await self._give_up(type_url, (*removed, *changed))
            answer.error_detail.CopyFrom(status_pb.Status(code=code_pb.INVALID_ARGUMENT, message=rejection))
            answers.put_nowait(answer)
            self._updates.labels(type_url, "rejected").inc()
            self._log.warning("policy rejected", type=type_url, reason=rejection)
            return
        self._keep(type_url, changed, removed)
        self._updates.labels(type_url, "applied").inc()
        self._log.info("policy applied", type=type_url, changed=len(changed), removed=len(removed))
        if type_url in contract.BESIDE_TYPES:  # a key is revoked when it stays so through a restart
            await self._write(type_url, changed, removed)
            answers.put_nowait(answer)
        else:
            answers.put_nowait(answer)
            await self._write(type_url, changed, removed)

    async def _give_up(self, type_url: str, names: Collection[str]) -> None:
        """What a refused change of such a type names does not come back with the next start: it may be revoked."""
        if type_url not in contract.BESIDE_TYPES or type_url not in self._versions:
            return
        for name in names:
            self._versions[type_url].pop(name, None)
        await self._write(type_url, {}, names)

    def _keep(self, type_url: str, changed: Mapping[str, Held], removed: Collection[str]) -> None:
        named = self._versions.setdefault(type_url, {})
        named.update({name: held.version for name, held in changed.items()})
        for name in removed:
            named.pop(name, None)
        self._updated_at.set(self._clock.now())
        if all(expected in self._versions for expected in self._types if self._is_awaited(expected)):
            self.ready.set()

    def _is_awaited(self, type_url: str) -> bool:
        return type_url not in contract.BESIDE_TYPES or type_url in self._consumer.awaits

    def _cache_of(self, type_url: str) -> Cache:
        return self._resources if type_url in contract.BESIDE_TYPES else self._policies

    async def _write(self, type_url: str, changed: Mapping[str, Held], removed: Collection[str]) -> None:
        """A disk that is full costs the next cold start, not this process; the change is kept, and tried again.

        Who is cancelled meanwhile waits: the thread goes on, and of two writes at once one could be lost.
        """
        async with self._writing:
            writing = asyncio.create_task(asyncio.to_thread(self._cache_of(type_url).write, type_url, changed, removed))
            try:
                await asyncio.shield(writing)
            except CacheError as error:
                log = self._log.debug if type_url in self._unwritten else self._log.error
                log("policies not cached", type=type_url, reason=str(error))
                self._unwritten.add(type_url)
            else:
                self._unwritten.discard(type_url)
            finally:
                await asyncio.gather(writing, return_exceptions=True)

    async def _catch_up(self) -> None:
        """What is on the disk of a key that was revoked is not left there for want of another change."""
        while True:
            await asyncio.sleep(WRITE_AGAIN)
            for type_url in tuple(self._unwritten):
                await self._write(type_url, {}, ())

    def _report_loss(self, code: str, reason: str | None) -> None:
        """Once a loss, not once an attempt; a connection that was ended for its age is back at the first attempt."""
        log = self._log.warning if self._failures == 1 else self._log.debug
        log("control plane away", address=str(self._control_plane), code=code, reason=reason)


def _response(data: bytes) -> Message:
    """A response; gRPC's own reading would give None for what is none."""
    try:
        return discovery_pb.DeltaDiscoveryResponse.FromString(data)
    except DecodeError as error:
        raise UnreadableResponse(str(error)) from error


def _other_type(response: Message) -> str | None:
    """Why resources are not of the type that the response says; None where they are."""
    others = sorted({item.resource.type_url for item in response.resources} - {response.type_url})
    return f"resources of {others[0]!r} in a response of {response.type_url!r}" if others else None


def channel(endpoint: Endpoint, credentials: Credentials | None) -> grpc.aio.Channel:
    """A channel to the control plane; in clear text without credentials, which is for Unix sockets alone."""
    if credentials is None:
        return grpc.aio.insecure_channel(endpoint.grpc_target, options=CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(endpoint.grpc_target, credentials.to_call(), options=CHANNEL_OPTIONS)


async def _replaced(certificates: Certificates, used: Credentials) -> None:
    """Returns when others are to be used."""
    while certificates.current() is used:  # noqa: ASYNC110 - files tell nobody that they have changed
        await asyncio.sleep(CERTIFICATES_POLL)


def _backoff(failures: int) -> float:
    """Seconds to wait, drawn so that a fleet does not come back at once."""
    least, most = BACKOFF_SECONDS
    return random.uniform(least, min(most, least * 2 ** min(failures + 1, 10)))  # noqa: S311 - spreads load, guards nothing
