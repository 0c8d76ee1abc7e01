"""The client status discovery service (envoy.service.status.v3): what every consumer runs, for tools that speak it.

`config_status` is what the control plane knows; `client_status` is the consumer's own word, as far as ACK and NACK say
it. Secrets are replaced in every resource that is shown.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from functools import cache
from typing import Any, Final, Protocol

import grpc
import re2
from envoy.admin.v3 import config_dump_shared_pb2 as dump_pb
from envoy.service.status.v3 import csds_pb2 as csds_pb
from envoy.type.matcher.v3 import node_pb2 as node_matcher_pb
from envoy.type.matcher.v3 import string_pb2 as string_matcher_pb
from google.protobuf import timestamp_pb2 as timestamp_pb
from google.protobuf.message import DecodeError, Message

from control_plane.render import redacted
from control_plane.server.admission import Refused
from control_plane.server.clients import Client
from control_plane.server.status import ResourceState, TypeStatus
from control_plane.server.wire import GROUP_FIELD, Node
from control_plane.snapshot import Resource

SERVICE: Final = "envoy.service.status.v3.ClientStatusDiscoveryService"
CURE: Final = "send `authorization: Bearer TOKEN` with the admin token"
# Bytes of an answer: a fleet's resources, once for each client, are more than a process should hold.
LARGEST_ANSWER: Final = 60 << 20

# Ours, the service's, and the client's word for it.
STATES: Final = {
    ResourceState.SYNCED: (csds_pb.SYNCED, dump_pb.ACKED),
    ResourceState.NOT_SENT: (csds_pb.NOT_SENT, dump_pb.REQUESTED),
    ResourceState.STALE: (csds_pb.STALE, dump_pb.UNKNOWN),
    ResourceState.REFUSED: (csds_pb.ERROR, dump_pb.NACKED),
}

# A resource as it is shown, of its type URL and its bytes.
Contents = Callable[[str, bytes], bytes]
Context = grpc.aio.ServicerContext[Message, Message]


class Clients(Protocol):
    """Who knows the connected consumers: Ads."""

    def clients(self) -> tuple[Client, ...]: ...


def csds_rpc(ads: Clients, authorized: Callable[[Context], bool]) -> grpc.GenericRpcHandler:
    """The service, for callers that are authorized."""

    async def fetch(request: bytes, context: Context) -> Message:
        return await _answer(ads, request, context, authorized)

    async def stream(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[Message]:
        async for request in requests:
            yield await _answer(ads, request, context, authorized)

    serialized = csds_pb.ClientStatusResponse.SerializeToString
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "FetchClientStatus": grpc.unary_unary_rpc_method_handler(fetch, None, serialized),
            "StreamClientStatus": grpc.stream_stream_rpc_method_handler(stream, None, serialized),
        },
    )


# Any: xds-protos has no annotations; so for all messages of this module
async def _answer(ads: Clients, request: bytes, context: Context, authorized: Callable[[Context], bool]) -> Message:
    if not authorized(context):
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, CURE)
    try:
        return await _response(ads, csds_pb.ClientStatusRequest.FromString(request))
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a ClientStatusRequest")
    except Refused as refused:
        await context.abort(refused.code, refused.message)


async def _response(ads: Clients, request: Any) -> Message:
    clients = [client for client in ads.clients() if _matches(client.node, request.node_matchers)]
    contents = None if request.exclude_resource_contents else cache(redacted)  # once a resource, not once a client
    response, size = csds_pb.ClientStatusResponse(), 0
    for client in clients:
        resources = tuple(client.resources())  # of one moment: the thread must not read what moves
        config = await asyncio.to_thread(_client_config, client, resources, contents)
        size += config.ByteSize()
        if size > LARGEST_ANSWER:
            message = "more than one answer holds: name fewer clients by node_matchers, or exclude_resource_contents"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        response.config.append(config)
    answer: Message = response
    return answer


def _client_config(
    client: Client, resources: Iterable[tuple[Resource, ResourceState]], contents: Contents | None
) -> Any:
    config = csds_pb.ClientConfig()
    config.node.id, config.node.cluster = client.node.id, client.node.cluster
    config.node.user_agent_name = client.node.user_agent
    if client.node.group:
        config.node.metadata[GROUP_FIELD] = client.node.group
    config.generic_xds_configs.extend(
        _resource(item, state, client.status.types[item.type_url], contents)
        for item, state in resources
        if item.type_url in client.status.types  # another type may have been asked for since
    )
    return config


def _resource(item: Resource, state: ResourceState, of_type: TypeStatus, contents: Contents | None) -> Any:
    config_status, client_status = STATES[state]
    shown = csds_pb.ClientConfig.GenericXdsConfig(
        type_url=item.type_url,
        name=item.name,
        version_info=item.version,
        last_updated=_timestamp(of_type.since),
        config_status=config_status,
        client_status=client_status,
    )
    if contents is not None:
        shown.xds_config.type_url = item.type_url
        shown.xds_config.value = contents(item.type_url, item.body)
    if state is ResourceState.REFUSED and of_type.refusal is not None:
        refusal = of_type.refusal
        shown.error_state.details = refusal.message
        shown.error_state.version_info = refusal.version
        shown.error_state.last_update_attempt.CopyFrom(_timestamp(refusal.at))
    return shown


def _timestamp(at: float) -> timestamp_pb.Timestamp:
    stamp = timestamp_pb.Timestamp()
    stamp.FromNanoseconds(int(at * 1e9))
    return stamp


def _matches(node: Node, matchers: Iterable[Any]) -> bool:
    """Whether one of the matchers takes the node; all are taken where there is none."""
    listed = list(matchers)
    return not listed or any(_is_matched(node, matcher) for matcher in listed)


def _is_matched(node: Node, matcher: node_matcher_pb.NodeMatcher) -> bool:
    by_id = not matcher.HasField("node_id") or _text_matches(node.id, matcher.node_id)
    return by_id and all(_metadata_matches(node, struct) for struct in matcher.node_metadatas)


def _metadata_matches(node: Node, matcher: Any) -> bool:
    path = [segment.key for segment in matcher.path]
    kind = matcher.value.WhichOneof("match_pattern")
    if path != [GROUP_FIELD] or kind not in ("string_match", "present_match"):
        message = f"node_metadatas: of the metadata only {GROUP_FIELD} is known, by string_match or present_match"
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, message)
    if kind == "present_match":
        return bool(node.group) is matcher.value.present_match
    return bool(node.group) and _text_matches(node.group, matcher.value.string_match)


def _text_matches(text: str, matcher: string_matcher_pb.StringMatcher) -> bool:
    kind: str = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return _regex_matches(matcher.safe_regex.regex, text)
    if kind not in TESTS:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"a string is matched by safe_regex or {', '.join(TESTS)}")
    wanted: str = getattr(matcher, kind)
    if matcher.ignore_case:
        text, wanted = text.lower(), wanted.lower()
    return TESTS[kind](text, wanted)


TESTS: Final[dict[str, Callable[[str, str], bool]]] = {
    "exact": str.__eq__,
    "prefix": str.startswith,
    "suffix": str.endswith,
    "contains": str.__contains__,
}


def _regex_matches(pattern: str, text: str) -> bool:
    try:
        return bool(re2.fullmatch(pattern, text))
    except re2.error as error:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"safe_regex: {error}") from error
