"""What Envoy's `/config_dump` says that it runs, by type and name as the control plane names them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from envoy.admin.v3 import config_dump_pb2 as dump_pb
from envoy.admin.v3 import config_dump_shared_pb2 as shared_pb
from google.protobuf import any_pb2 as any_pb
from google.protobuf import json_format

from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE


@dataclass(frozen=True)
class Held:
    """A resource as Envoy holds it: the version that it came with, "" where Envoy does not say, and its message."""

    version: str
    message: any_pb.Any


Resources = Mapping[str, Held]
Section = Any  # a message of xds-protos, which has no annotations


@dataclass(frozen=True)
class ConfigDump:
    """The dynamic resources by type and name, and the versions of the types that Envoy knows as a whole."""

    resources: Mapping[str, Resources]
    versions: Mapping[str, str]


def read_config_dump(sections: Mapping[str, Mapping[str, Any]]) -> ConfigDump:
    """Sections are by the name of their message, as `Envoy.dump` has them; some come with their first resource."""
    parsed = {
        type_url: json_format.ParseDict(
            _dynamic(sections.get(kind.DESCRIPTOR.name, {})), kind(), ignore_unknown_fields=True
        )
        for type_url, (kind, _) in SECTIONS.items()
    }
    return ConfigDump(
        {type_url: dict(read(parsed[type_url])) for type_url, (_, read) in SECTIONS.items()},
        {type_url: parsed[type_url].version_info for type_url in (CLUSTER_TYPE, LISTENER_TYPE)},
    )


def _dynamic(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if not key.startswith(("@", "static_"))}


def _clusters(section: Section) -> Iterator[tuple[str, Held]]:
    for item in section.dynamic_active_clusters:
        yield _name(item.cluster), Held(item.version_info, item.cluster)


def _endpoints(section: Section) -> Iterator[tuple[str, Held]]:
    for item in section.dynamic_endpoint_configs:
        yield _name(item.endpoint_config), Held(item.version_info, item.endpoint_config)


def _listeners(section: Section) -> Iterator[tuple[str, Held]]:
    for item in section.dynamic_listeners:
        if item.HasField("active_state"):
            yield item.name, Held(item.active_state.version_info, item.active_state.listener)


def _routes(section: Section) -> Iterator[tuple[str, Held]]:
    for item in section.dynamic_route_configs:
        yield _name(item.route_config), Held(item.version_info, item.route_config)


def _secrets(section: Section) -> Iterator[tuple[str, Held]]:
    for item in section.dynamic_active_secrets:
        yield item.name, Held(item.version_info, item.secret)


def _name(packed: any_pb.Any) -> str:
    message = json_format.MessageToDict(packed, preserving_proto_field_name=True)
    return str(message.get("name") or message["cluster_name"])


SECTIONS: Mapping[str, tuple[Any, Callable[[Section], Iterator[tuple[str, Held]]]]] = {
    CLUSTER_TYPE: (shared_pb.ClustersConfigDump, _clusters),
    ENDPOINTS_TYPE: (shared_pb.EndpointsConfigDump, _endpoints),
    LISTENER_TYPE: (shared_pb.ListenersConfigDump, _listeners),
    ROUTES_TYPE: (shared_pb.RoutesConfigDump, _routes),
    SECRET_TYPE: (dump_pb.SecretsConfigDump, _secrets),
}
