"""What a route says to filters, by filter name."""

from collections.abc import Mapping

from google.protobuf.any_pb2 import Any as ProtoAny

PerRoute = Mapping[str, ProtoAny]
