"""The shared route table as virtual hosts of their own, for Envoys that take them one by one: an edit pushes its hosts.

The table stays the whole truth: it is what is checked, rendered and compared. What such Envoys see is made of its very
bytes: a RouteConfiguration that refers to its virtual hosts, and each of these by the name `<table>/<domain>`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from envoy.config.core.v3 import config_source_pb2 as config_source_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb

from control_plane.snapshot import Named, Resource, Snapshot, resource
from control_plane.xds.fields import first_field, parted
from control_plane.xds.names import ROUTES, ROUTES_TYPE, VIRTUAL_HOST_TYPE
from control_plane.xds.packing import serialized
from service_kit.memo import IdentityMemo

# Tables and snapshots whose parts are kept: the current ones and those before, of a few groups.
KEPT_TABLES: Final = 4
KEPT_VIEWS: Final = 8
# A table without its virtual hosts has another version than with them, whatever else it holds: whoever comes back with
# a version says which of the two it runs.
APART: Final = "+virtual-hosts"


def with_virtual_hosts(seen: Snapshot) -> Snapshot:
    """The snapshot as an Envoy sees it that takes virtual hosts one by one."""
    return _view(seen)


def runs_whole(versions: Mapping[str, str]) -> bool:
    """Whether a client that comes back with these versions runs the table with its virtual hosts in it.

    Such a one goes on so: Envoy (1.40) that is told to ask for virtual hosts has none until they are there.
    """
    return ROUTES in versions and not versions[ROUTES].endswith(APART)


class Hosts:
    """The virtual hosts of one table after the other; an equal one is the same object."""

    def __init__(self) -> None:
        self._last: Named = MappingProxyType({})

    def of(self, table: Resource) -> Named:
        bodies, _ = parted(route_configuration_pb.RouteConfiguration, "virtual_hosts", table.body)
        self._last = MappingProxyType({item.name: item for item in self._made(table.name, bodies)})
        return self._last

    def _made(self, table: str, bodies: Iterable[bytes]) -> Iterable[Resource]:
        for body in bodies:
            domain, rest = first_field(route_pb.VirtualHost, "name", body)
            name = f"{table}/{domain.decode()}"
            # Envoy (1.40) forgets a removed virtual host by the name that it states itself.
            named = serialized(route_pb.VirtualHost(name=name)) + rest
            known = self._last.get(name)
            yield known if known is not None and known.body == named else resource(VIRTUAL_HOST_TYPE, name, named)


def _asked_for_apart() -> route_configuration_pb.RouteConfiguration:
    source = config_source_pb.ConfigSource(resource_api_version=config_source_pb.V3)
    source.ads.SetInParent()
    return route_configuration_pb.RouteConfiguration(vhds=route_configuration_pb.Vhds(config_source=source))


def _without_hosts(table: Resource) -> Resource:
    _, rest = parted(route_configuration_pb.RouteConfiguration, "virtual_hosts", table.body)
    made = resource(table.type_url, table.name, rest + serialized(_asked_for_apart()))
    return Resource(made.type_url, made.name, made.body, made.version + APART, table.groups)


def _routes(named: Named) -> Named:
    return MappingProxyType({**named, ROUTES: _tables(named[ROUTES])})


def _viewed(seen: Snapshot) -> Snapshot:
    named = seen.of(ROUTES_TYPE)
    if ROUTES not in named:
        return seen
    apart = {ROUTES_TYPE: _route_views(named), VIRTUAL_HOST_TYPE: _hosts(named[ROUTES])}
    return Snapshot(MappingProxyType({**seen.resources, **apart}))


_hosts = IdentityMemo(Hosts().of, KEPT_TABLES)
_tables = IdentityMemo(_without_hosts, KEPT_TABLES)
_route_views = IdentityMemo(_routes, KEPT_VIEWS)
_view = IdentityMemo(_viewed, KEPT_VIEWS)
