"""What must hold of every listener before any rule looks at a request."""

import pytest
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2 as early_pb

from control_plane.config.values import LARGEST_BODY_LIMIT
from control_plane.xds import names
from control_plane.xds.access_log import FIELDS
from service_kit import contract
from tests.support.compiled import config, route, snapshots

LISTENERS = {"public": {"address": "127.0.0.1:8800"}, "inner": {"address": "[::1]:8802"}}


@pytest.fixture(scope="module")
def listeners() -> dict[str, tuple[listener_pb.Listener, hcm_pb.HttpConnectionManager]]:
    envoy, _ = snapshots(config(listeners=LISTENERS, routes=[route(body_limit="64MiB")]))
    found = {}
    for name, item in envoy.of(names.LISTENER_TYPE).items():
        listener = listener_pb.Listener.FromString(item.body)
        manager = hcm_pb.HttpConnectionManager()
        listener.filter_chains[0].filters[0].typed_config.Unpack(manager)
        found[name] = (listener, manager)
    return found


Listeners = dict[str, tuple[listener_pb.Listener, hcm_pb.HttpConnectionManager]]


def test_all_judge_alike(listeners: Listeners) -> None:
    (_, public), (_, inner) = listeners["public"], listeners["inner"]

    assert [link.SerializeToString() for link in public.http_filters] == [
        link.SerializeToString() for link in inner.http_filters
    ]


def test_addresses(listeners: Listeners) -> None:
    found = {name: listener.address.socket_address for name, (listener, _) in listeners.items()}

    assert {name: (item.address, item.port_value) for name, item in found.items()} == {
        "public": ("127.0.0.1", 8800), "inner": ("::1", 8802),
    }  # fmt: skip


def test_no_buffer_fills_before_the_body_limit_answers(listeners: Listeners) -> None:
    assert all(item.per_connection_buffer_limit_bytes.value > LARGEST_BODY_LIMIT for item, _ in listeners.values())


def test_internal_headers_of_clients_go_before_the_route_is_chosen(listeners: Listeners) -> None:
    for _, manager in listeners.values():
        early = early_pb.HeaderMutation()
        manager.early_header_mutation_extensions[0].typed_config.Unpack(early)
        removed = tuple(item.remove_on_match.key_matcher.safe_regex.regex for item in early.mutations)
        assert removed == contract.CLIENT_FORBIDDEN_HEADERS


def test_a_path_is_one_string_for_every_rule(listeners: Listeners) -> None:
    for _, manager in listeners.values():
        assert manager.normalize_path.value
        assert manager.merge_slashes
        assert manager.path_with_escaped_slashes_action == hcm_pb.HttpConnectionManager.REJECT_REQUEST


@pytest.mark.parametrize("word", ["AUTHORIZATION)", "COOKIE", "%PATH(WQ", ":PATH"])
def test_the_access_log_reads_no_credential_and_no_query(word: str) -> None:
    assert [name for name, text in FIELDS.items() if word in text.upper()] == []
