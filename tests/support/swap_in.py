"""The swap-in on a real store: rules of a test, real gRPC, time that a test moves, answers as short texts."""

import textwrap
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import structlog
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.service.ratelimit.v3 import rls_pb2
from envoy.type.v3 import ratelimit_unit_pb2
from google.protobuf.wrappers_pb2 import UInt64Value
from prometheus_client import CollectorRegistry

from ratelimit_service.scripts import Scripts
from ratelimit_service.swap_in.counting import FixedWindows
from ratelimit_service.swap_in.loader import SourceFile, load_rules
from ratelimit_service.swap_in.metrics import SwapInMetrics
from ratelimit_service.swap_in.rulebook import Rulebook
from ratelimit_service.swap_in.rules import Rules
from ratelimit_service.swap_in.server import METHOD, SwapInHandler
from ratelimit_service.swap_in.settings import swap_in_settings
from tests.support.clock import StillClock

# Field 4, a varint of 1: is_negative_hits, which the generated code does not know.
NEGATIVE = b"\x20\x01"


def rules_of(*texts: str, merge: bool = False) -> Rules:
    """The rules in these files, which are called a.yaml, b.yaml and so on."""
    return load_rules(source_files(*texts), merge_domains=merge)


def source_files(*texts: str) -> tuple[SourceFile, ...]:
    names = "abcdefgh"
    return tuple(
        SourceFile(f"{name}.yaml", textwrap.dedent(text).encode())
        for name, text in zip(names[: len(texts)], texts, strict=True)
    )


def asked(
    entries: str, *, hits: int | None = None, limit: tuple[int, str] | None = None, negative: bool = False
) -> ratelimit_pb2.RateLimitDescriptor:
    """The descriptor `key=value key=value`."""
    descriptor = ratelimit_pb2.RateLimitDescriptor()
    for entry in entries.split():
        key, _, value = entry.partition("=")
        descriptor.entries.add(key=key, value=value)
    if hits is not None:
        descriptor.hits_addend.CopyFrom(UInt64Value(value=hits))
    if limit is not None:
        requests, unit = limit
        descriptor.limit.requests_per_unit = requests
        descriptor.limit.unit = ratelimit_unit_pb2.RateLimitUnit.Value(unit)
    return ratelimit_pb2.RateLimitDescriptor.FromString(descriptor.SerializeToString() + NEGATIVE * negative)


def request(*descriptors: Any, domain: str = "shop", hits: int = 0) -> rls_pb2.RateLimitRequest:
    found = [asked(one) if isinstance(one, str) else one for one in descriptors]
    return rls_pb2.RateLimitRequest(domain=domain, descriptors=found, hits_addend=hits)


def words(response: rls_pb2.RateLimitResponse) -> str:
    """`OVER: 0/5 minute!, 3/4 hour`: the whole, then what each descriptor has left of what; `!` where it is over."""
    code = {1: "OK", 2: "OVER"}[response.overall_code]
    return f"{code}: {', '.join(map(_standing, response.statuses))}"


def _standing(status: rls_pb2.RateLimitResponse.DescriptorStatus) -> str:
    if not status.HasField("current_limit"):
        return "unlimited" if status.limit_remaining else "-"
    unit = rls_pb2.RateLimitResponse.RateLimit.Unit.Name(status.current_limit.unit).lower()
    mark = "!" if status.code == rls_pb2.RateLimitResponse.OVER_LIMIT else ""
    return f"{status.limit_remaining}/{status.current_limit.requests_per_unit} {unit}{mark}"


class SwapIn:
    """A served swap-in, and a client of it."""

    def __init__(self, handler: SwapInHandler, clock: StillClock, registry: CollectorRegistry) -> None:
        self.handler = handler
        self.clock = clock
        self.registry = registry
        self.channel: grpc.aio.Channel

    async def ask(self, *descriptors: Any, domain: str = "shop", hits: int = 0) -> rls_pb2.RateLimitResponse:
        raw = request(*descriptors, domain=domain, hits=hits).SerializeToString()
        return rls_pb2.RateLimitResponse.FromString(await self.channel.unary_unary(METHOD)(raw))

    async def says(self, *descriptors: Any, **fields: Any) -> str:
        return words(await self.ask(*descriptors, **fields))

    def hits(self, rule: str) -> Mapping[str, int]:
        """The hits of a rule by result."""
        name = "tollgate_ratelimit_swap_in_hits_total"
        samples = [sample for metric in self.registry.collect() for sample in metric.samples if sample.name == name]
        return {one.labels["result"]: int(one.value) for one in samples if one.labels["rule"] == rule and one.value}


@asynccontextmanager
async def swap_in(
    scripts: Scripts, folder: Path, *files: str, environ: Mapping[str, str] | None = None
) -> AsyncIterator[SwapIn]:
    """The swap-in with these files and these environment variables, on counters that nobody has used."""
    config = folder / "config"
    config.mkdir()
    for file in source_files(*files):
        (config / file.name).write_bytes(file.content)
    clock, registry, log = StillClock(), CollectorRegistry(), structlog.get_logger()
    settings = swap_in_settings({"CACHE_KEY_PREFIX": uuid.uuid4().hex, **(environ or {})})
    metrics = SwapInMetrics(registry, near_limit=settings.near_limit)
    windows = FixedWindows(
        scripts,
        prefix=settings.key_prefix,
        only_over=settings.only_over,
        now=lambda: int(clock.seconds * 1_000_000),
    )
    rulebook = Rulebook(config, merge_domains=settings.merge_domains, metrics=metrics, log=log)
    handler = SwapInHandler(
        rulebook=rulebook, windows=windows, settings=settings, metrics=metrics, clock=clock, log=log
    )
    found = SwapIn(handler, clock, registry)
    async with AsyncExitStack() as stack:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers([handler])
        server.add_insecure_port(f"unix:{folder}/limits.sock")
        await server.start()
        stack.push_async_callback(server.stop, None)
        found.channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"unix:{folder}/limits.sock"))
        yield found
