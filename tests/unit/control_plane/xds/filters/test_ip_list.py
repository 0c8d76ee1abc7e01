"""Networks in both families, and what routes without a list say."""

from typing import Any

import pytest
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb

from control_plane.xds import names
from control_plane.xds.filters import ip_list
from control_plane.xds.filters.per_route import OFF
from tests.support.compiled import compiled, config, route


def said(**changes: Any) -> Any:
    return ip_list.per_route(compiled(config(routes=[route(**changes)])).gateway.routes[0])[names.IP_LIST]


@pytest.mark.parametrize(
    ("written", "ranges"),
    [
        pytest.param("10.0.0.0/8", ["10.0.0.0/8", "::ffff:a00:0/104"], id="ipv4"),
        pytest.param("192.0.2.7", ["192.0.2.7/32", "::ffff:c000:207/128"], id="one address"),
        pytest.param("0.0.0.0/0", ["0.0.0.0/0", "::ffff:0:0/96"], id="all of ipv4"),
        pytest.param("2001:db8::/32", ["2001:db8::/32"], id="ipv6"),
        pytest.param("::ffff:192.0.2.0/120", ["::ffff:c000:200/120", "192.0.2.0/24"], id="mapped"),
    ],
)
def test_a_network_is_all_that_its_clients_are_called(written: str, ranges: list[str]) -> None:
    rbac = rbac_filter_pb.RBACPerRoute.FromString(said(allow_ips=[written]).value).rbac
    listed = rbac.rules.policies[ip_list.POLICY].principals[0].not_id.or_ids.ids

    assert [f"{item.remote_ip.address_prefix}/{item.remote_ip.prefix_len.value}" for item in listed] == ranges


def test_a_route_without_a_list_turns_it_off_by_name() -> None:
    assert said() == OFF
    assert ip_list.per_route(None) == {names.IP_LIST: OFF}


def test_where_nothing_is_said_nobody_passes() -> None:
    (link,) = ip_list.filters(compiled(config(routes=[route()])).gateway)

    assert not link.disabled
    assert link.typed_config
    assert ip_list.POLICY.encode() in link.typed_config.value
