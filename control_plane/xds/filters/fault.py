"""Trouble on purpose. Only the configuration makes it: headers of clients that would ask for some are removed early."""

from envoy.extensions.filters.common.fault.v3 import fault_pb2 as delay_pb
from envoy.extensions.filters.http.fault.v3 import fault_pb2 as fault_pb
from envoy.type.v3 import percent_pb2 as percent_pb
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import HttpFault
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Fault, Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import PerRoute
from control_plane.xds.packing import packed, seconds

MILLIONTHS = 10_000  # of one percent


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Where a route makes trouble; off where it makes none."""
    if not any(route.fault for route in gateway.routes):
        return ()
    return (HttpFilter(name=names.FAULT, typed_config=Any.pack(HttpFault()), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """The route's trouble."""
    if route is None or route.fault is None:
        return {}
    return {names.FAULT: packed(_fault(route.fault))}


def _fault(fault: Fault) -> fault_pb.HTTPFault:
    trouble = fault_pb.HTTPFault()
    if fault.delay is not None:
        share = _share(fault.delay_percent)
        trouble.delay.CopyFrom(delay_pb.FaultDelay(fixed_delay=seconds(fault.delay), percentage=share))
    if fault.abort_status is not None:
        share = _share(fault.abort_percent)
        trouble.abort.CopyFrom(fault_pb.FaultAbort(http_status=fault.abort_status, percentage=share))
    return trouble


def _share(percent: float) -> percent_pb.FractionalPercent:
    return percent_pb.FractionalPercent(
        numerator=round(percent * MILLIONTHS), denominator=percent_pb.FractionalPercent.MILLION
    )
