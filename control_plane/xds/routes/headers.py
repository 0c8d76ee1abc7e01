"""What a route does to headers. Envoy removes first; then it sets and adds, in the order of the list.

What the gateway tells of the caller's limits comes later, beside what an upstream says by the same names: of a model's
answer, that is about the operator's account with its provider, and no caller's business. Who calls, in turn, and from
where, is no business of a model's provider, who may be anybody.
"""

from collections.abc import Iterable, Iterator

from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb

from control_plane.ir.model import DirectResponse, HeaderChanges, Route
from control_plane.xds.filters.chain import INTERNAL, internal_headers
from control_plane.xds.filters.llm import refusal
from control_plane.xds.names import is_variant
from control_plane.xds.routes.forward import hashed_header
from service_kit import contract

SET = base_pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
ADD = base_pb.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
# OpenAI's names for limits, what others call them, and whose account it is.
OF_LIMITS = tuple(f"{part}{of}" for part in ("limit", "remaining", "reset") for of in ("", "-requests", "-tokens"))
OF_THE_ACCOUNT = (
    *(f"x-ratelimit-{item}" for item in OF_LIMITS),
    "ratelimit", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "ratelimit-policy",
    "openai-organization", "openai-project",
)  # fmt: skip
# What is known of callers, here and by proxies on the way to here, and under whose account they would like to be.
OF_THE_CALLER = (
    *(name for name in map(contract.identity_header, contract.IDENTITY_PARTS) if name not in INTERNAL),
    "cookie", "origin", "referer", "forwarded", "via", contract.FORWARDED_FOR_HEADER, contract.FORWARDED_HOST_HEADER,
    "x-forwarded-port", "x-forwarded-proto", "x-forwarded-user", "x-forwarded-email", "x-forwarded-groups",
    "x-forwarded-preferred-username", "x-forwarded-access-token", "x-auth-request-user", "x-auth-request-email",
    "x-remote-user", "x-cluster-client-ip", "cf-connecting-ip", "cf-connecting-ipv6", "fastly-client-ip",
    "x-azure-clientip", "x-envoy-external-address", "x-envoy-internal", "openai-organization", "openai-project",
    "api-key", "x-api-key", "x-goog-api-key",
)  # fmt: skip


def untold(hash_by: Iterable[str]) -> Iterator[str]:
    """The headers that providers of models do not get: Envoy removes them before it chooses an endpoint, so what tells
    the upstream's endpoints apart stays.
    """
    needed = {hashed_header(key) for key in hash_by}
    return (name for name in OF_THE_CALLER if name not in needed)


def change_headers(built: route_pb.Route, route: Route) -> None:
    """The changes that the configuration asks for, and our own."""
    if route.forward is not None:
        built.request_headers_to_remove.extend(internal_headers(route))
        if route.model is not None and not any(is_variant(item.upstream) for item in route.forward.destinations):
            # A variant removes them behind: they may tell the endpoints of its upstream apart.
            built.request_headers_to_remove.extend(untold(route.forward.hash_by))
        built.request_headers_to_remove.extend(route.request_headers.remove)
        built.request_headers_to_add.extend(_written(route.request_headers))
    if route.model is not None:
        built.response_headers_to_remove.extend(OF_THE_ACCOUNT)
        name, value = refusal.mark(name.lower() for name, _ in route.response_headers.set)
        mark = base_pb.HeaderValue(key=name, value=value)
        built.response_headers_to_add.add(header=mark, append_action=SET)
    built.response_headers_to_remove.extend(route.response_headers.remove)
    if isinstance(route.action, DirectResponse) and route.action.body:
        built.response_headers_to_add.extend(_options((("content-type", route.action.content_type),), SET))
    built.response_headers_to_add.extend(_written(route.response_headers))


def _written(changes: HeaderChanges) -> Iterator[base_pb.HeaderValueOption]:
    yield from _options(changes.set, SET)
    yield from _options(changes.add, ADD)


def _options(
    pairs: Iterable[tuple[str, str]], action: base_pb.HeaderValueOption.HeaderAppendAction.ValueType
) -> Iterator[base_pb.HeaderValueOption]:
    for name, value in pairs:
        # Between percent signs, Envoy would read a command.
        header = base_pb.HeaderValue(key=name, value=value.replace("%", "%%"))
        yield base_pb.HeaderValueOption(header=header, append_action=action)
