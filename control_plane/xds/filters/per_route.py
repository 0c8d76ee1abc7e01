"""What a route says to filters, by filter name; and how it turns one on or off that says nothing else."""

from collections.abc import Mapping

from envoy.config.route.v3 import route_components_pb2 as route_pb
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.xds.packing import packed

PerRoute = Mapping[str, ProtoAny]

OFF = packed(route_pb.FilterConfig(disabled=True))
# `config` must be set for `disabled: false` to switch an instance on that is off by default.
ON = packed(route_pb.FilterConfig(disabled=False, config=ProtoAny()))
