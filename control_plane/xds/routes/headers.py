"""What a route does to headers. Envoy removes first; then it sets and adds, in the order of the list."""

from collections.abc import Iterable, Iterator

from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb

from control_plane.ir.model import DirectResponse, HeaderChanges, Route
from control_plane.xds.filters.chain import internal_headers

SET = base_pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
ADD = base_pb.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD


def change_headers(built: route_pb.Route, route: Route) -> None:
    """The changes that the configuration asks for, and our own."""
    if route.forward is not None:
        built.request_headers_to_remove.extend(internal_headers(route))
        built.request_headers_to_remove.extend(route.request_headers.remove)
        built.request_headers_to_add.extend(_written(route.request_headers))
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
