"""Endpoints that others tell, put into a snapshot that was compiled without them.

Of an upstream of which nothing was heard yet, nothing is said at all: an Envoy keeps the endpoints that it has from
before, and for a new one there are none.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from control_plane.endpoints.slices import Endpoint, Moving
from control_plane.ir.model import Address
from control_plane.snapshot import Resource, Snapshot, resource
from control_plane.xds.clusters.endpoints import endpoints_of_service
from control_plane.xds.names import ENDPOINTS_TYPE
from control_plane.xds.packing import serialized


def with_endpoints(snapshot: Snapshot, moving: Moving) -> Snapshot:
    """The snapshot with these endpoints in place of the compiled ones; every other mapping is the same object."""
    compiled = snapshot.of(ENDPOINTS_TYPE)
    told = {item.name: item for item in _told(compiled, moving)}
    if told == compiled:
        return snapshot
    return Snapshot(MappingProxyType({**snapshot.resources, ENDPOINTS_TYPE: MappingProxyType(told)}))


def _told(compiled: Mapping[str, Resource], moving: Moving) -> Iterator[Resource]:
    for name, item in compiled.items():
        if name not in moving:
            yield item
        elif (endpoints := moving[name]) is not None:
            yield resource(ENDPOINTS_TYPE, name, _body(name, endpoints), item.groups)


def _body(name: str, endpoints: tuple[Endpoint, ...]) -> bytes:
    told = ((Address(item.host, item.port), item.known_as) for item in endpoints)
    return serialized(endpoints_of_service(name, told))
