"""The four ways in which Envoy can follow a control plane: either protocol, on one stream for all or on one a type."""

from collections.abc import Mapping
from dataclasses import dataclass

from envoy.config.core.v3 import config_source_pb2 as config_source_pb
from google.protobuf import json_format
from google.protobuf.message import Message

from control_plane.server.types import ENVOYS
from control_plane.server.wire import HOSTS_FIELD
from service_kit.endpoint import UnixEndpoint
from tests.support.xds import ads_source

XDS_CLUSTER = "xds"


@dataclass(frozen=True)
class Mode:
    """How Envoy asks: `api_type` as its bootstrap says it, for everything at once or for each type apart."""

    name: str
    api_type: str
    separate: bool = False
    hosts: bool = False

    @property
    def delta(self) -> bool:
        return self.api_type == "DELTA_GRPC"

    @property
    def source(self) -> Message:
        """Where resources say that more is to be asked for."""
        if not self.separate:
            return ads_source()
        found: Message = json_format.ParseDict(self._own_stream(), config_source_pb.ConfigSource())
        return found

    def bootstrap(self, control_plane_at: UnixEndpoint, admin: str) -> dict[str, object]:
        """Envoy's own configuration: the control plane's address and nothing else."""
        return {
            "node": {"id": "envoy-under-test", "cluster": ENVOYS.cluster, "metadata": {HOSTS_FIELD: self.hosts}},
            "admin": {"address": {"pipe": {"path": admin, "mode": 0o600}}},
            "dynamic_resources": self._dynamic_resources(),
            "static_resources": {"clusters": [_xds_cluster(control_plane_at)]},
        }

    def _dynamic_resources(self) -> Mapping[str, object]:
        if self.separate:
            return {"cds_config": self._own_stream(), "lds_config": self._own_stream()}
        source = {"ads": {}, "resource_api_version": "V3"}
        return {"ads_config": self._api(), "cds_config": source, "lds_config": source}

    def _own_stream(self) -> dict[str, object]:
        return {"api_config_source": self._api(), "resource_api_version": "V3"}

    def _api(self) -> dict[str, object]:
        return {
            "api_type": self.api_type,
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER}}],
            "set_node_on_first_message_only": True,
        }


ADS_MODES = (Mode("delta-ads", "DELTA_GRPC"), Mode("sotw-ads", "GRPC"))
SEPARATE_MODES = (Mode("delta-separate", "DELTA_GRPC", separate=True), Mode("sotw-separate", "GRPC", separate=True))
MODES = ADS_MODES + SEPARATE_MODES


def _xds_cluster(at: UnixEndpoint) -> dict[str, object]:
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(at.path)}}}}
    return {
        "name": XDS_CLUSTER,
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": XDS_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
