"""What must hold of every listener before any rule looks at a request."""

from collections.abc import Iterator
from typing import Any

import pytest
from envoy.config.core.v3 import address_pb2 as address_pb
from envoy.config.listener.v3 import listener_components_pb2 as components_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.extensions.access_loggers.file.v3 import file_pb2 as file_pb
from envoy.extensions.filters.network.connection_limit.v3 import connection_limit_pb2 as limit_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2 as early_pb
from envoy.extensions.transport_sockets.quic.v3 import quic_transport_pb2 as quic_pb
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as tls_pb

from control_plane.config.values import LARGEST_BODY_LIMIT
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.access_log import FIELDS
from service_kit import contract
from tests.support.certificates import Authority
from tests.support.compiled import config, route, snapshots
from tests.support.models import MODEL_UPSTREAMS, model

PROXIES = ["10.0.0.0/8", "2001:db8::/32"]


def pair() -> dict[str, str]:
    certificate, key = Authority().issue("localhost")
    return {"certificate": certificate, "private_key": key}


LISTENERS: dict[str, Any] = {
    "public": {"address": "127.0.0.1:8800"},
    "inner": {"address": "[::1]:8802"},
    "behind": {"address": "127.0.0.1:8803", "trusted_proxies": PROXIES, "max_connections": 7},
    "tls": {"address": "127.0.0.1:8443", "tls": pair(), "http3": True, "compression": ["gzip", "brotli"]},
    "redirect": {"address": "127.0.0.1:8080", "https_redirect": 8443},
}
HTTP3 = names.http3_listener("tls")


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    envoy, _ = snapshots(config(listeners=LISTENERS, routes=[route(body_limit="64MiB")]))
    return envoy


@pytest.fixture(scope="module")
def listeners(snapshot: Snapshot) -> dict[str, listener_pb.Listener]:
    return {name: listener_pb.Listener.FromString(item.body) for name, item in snapshot.of(names.LISTENER_TYPE).items()}


Listeners = dict[str, listener_pb.Listener]


def managers(listeners: Listeners) -> Iterator[tuple[str, hcm_pb.HttpConnectionManager]]:
    for name, listener in listeners.items():
        for chain in listener.filter_chains:
            yield name, manager_of(chain)


def manager_of(chain: components_pb.FilterChain) -> hcm_pb.HttpConnectionManager:
    manager = hcm_pb.HttpConnectionManager()
    chain.filters[-1].typed_config.Unpack(manager)
    return manager


def removed(manager: hcm_pb.HttpConnectionManager) -> tuple[str, ...]:
    early = early_pb.HeaderMutation()
    manager.early_header_mutation_extensions[0].typed_config.Unpack(early)
    return tuple(item.remove_on_match.key_matcher.safe_regex.regex for item in early.mutations)


def test_all_judge_alike(listeners: Listeners) -> None:
    own = (names.FORWARDING, names.COMPRESSION)
    chains = {
        b"".join(
            link.SerializeToString(deterministic=True) for link in manager.http_filters if not link.name.startswith(own)
        )
        for _, manager in managers(listeners)
    }

    assert len(chains) == 1


def test_addresses(listeners: Listeners) -> None:
    udp = address_pb.SocketAddress.UDP
    found = {name: listener.address.socket_address for name, listener in listeners.items()}

    assert {name: (item.address, item.port_value, item.protocol == udp) for name, item in found.items()} == {
        "public": ("127.0.0.1", 8800, False), "inner": ("::1", 8802, False), "behind": ("127.0.0.1", 8803, False),
        "tls": ("127.0.0.1", 8443, False), HTTP3: ("127.0.0.1", 8443, True), "redirect": ("127.0.0.1", 8080, False),
    }  # fmt: skip


def test_no_buffer_fills_before_the_body_limit_answers(listeners: Listeners) -> None:
    assert all(item.per_connection_buffer_limit_bytes.value > LARGEST_BODY_LIMIT for item in listeners.values())


def test_internal_headers_of_clients_go_before_the_route_is_chosen(listeners: Listeners) -> None:
    for name, manager in managers(listeners):
        if name != "behind":
            assert removed(manager) == contract.CLIENT_FORBIDDEN_HEADERS
            assert manager.use_remote_address.value


def test_only_connections_from_trusted_proxies_keep_the_header_with_the_client(listeners: Listeners) -> None:
    proxies, anybody = listeners["behind"].filter_chains
    networks = proxies.filter_chain_match.direct_source_prefix_ranges

    assert [f"{item.address_prefix}/{item.prefix_len.value}" for item in networks] == PROXIES
    assert not anybody.HasField("filter_chain_match")
    assert set(removed(manager_of(anybody))) - set(removed(manager_of(proxies))) == {"x-forwarded-for"}
    assert manager_of(anybody).use_remote_address.value
    assert not manager_of(proxies).use_remote_address.value
    assert len(manager_of(proxies).original_ip_detection_extensions) == 1


def test_each_chain_counts_its_connections(listeners: Listeners) -> None:
    for chain in listeners["behind"].filter_chains:
        limit = limit_pb.ConnectionLimit()
        assert chain.filters[0].typed_config.Unpack(limit)
        assert limit.max_connections.value == 7


def test_a_path_is_one_string_for_every_rule(listeners: Listeners) -> None:
    for _, manager in managers(listeners):
        assert manager.normalize_path.value
        assert manager.merge_slashes
        assert (
            manager.path_with_escaped_slashes_action == hcm_pb.HttpConnectionManager.KEEP_UNCHANGED
        )  # refused by a route


def test_nobody_brings_the_certificate_of_another(listeners: Listeners) -> None:
    """SANITIZE: the header is removed and not set."""
    for _, manager in managers(listeners):
        assert manager.forward_client_cert_details == hcm_pb.HttpConnectionManager.SANITIZE


def test_no_key_is_in_a_listener(snapshot: Snapshot) -> None:
    key = LISTENERS["tls"]["tls"]["private_key"].splitlines()[1].encode()

    assert [name for name, item in snapshot.of(names.LISTENER_TYPE).items() if key in item.body] == []
    assert key in snapshot.of(names.SECRET_TYPE)["tollgate:listener:tls:certificate"].body


def test_both_protocols_of_a_listener_show_one_certificate(listeners: Listeners) -> None:
    over_tcp, over_quic = tls_pb.DownstreamTlsContext(), quic_pb.QuicDownstreamTransport()
    listeners["tls"].filter_chains[0].transport_socket.typed_config.Unpack(over_tcp)
    listeners[HTTP3].filter_chains[0].transport_socket.typed_config.Unpack(over_quic)
    tcp, quic = over_tcp.common_tls_context, over_quic.downstream_tls_context.common_tls_context

    assert tcp.tls_certificate_sds_secret_configs == quic.tls_certificate_sds_secret_configs
    assert (list(tcp.alpn_protocols), list(quic.alpn_protocols)) == (["h2", "http/1.1"], ["h3"])
    assert not over_quic.enable_early_data.value


def test_a_handshake_has_an_end(listeners: Listeners) -> None:
    assert listeners["tls"].filter_chains[0].transport_socket_connect_timeout.seconds == 10


def test_a_redirecting_listener_has_routes_of_its_own(listeners: Listeners) -> None:
    found = {name: manager.rds.route_config_name for name, manager in managers(listeners)}

    assert found.pop("redirect") == "tollgate:https-redirect:8443"
    assert set(found.values()) == {names.ROUTES}


@pytest.mark.parametrize("word", ["AUTHORIZATION)", "COOKIE", "%PATH(WQ", ":PATH"])
def test_the_access_log_reads_no_credential_and_no_query(word: str) -> None:
    assert [name for name, text in FIELDS.items() if word in text.upper()] == []


@pytest.mark.parametrize("called", [False, True], ids=["no model", "a model"])
def test_over_quic_the_log_finds_the_client_behind_a_proxy_where_no_upstream_is_told(*, called: bool) -> None:
    """A header that is removed on the way is nothing to a log that is written at the end."""
    models = {"models": [model()], "llm": {"auth": "none"}, "upstreams": MODEL_UPSTREAMS} if called else {}
    envoy, _ = snapshots(config(listeners={"tls": {**LISTENERS["tls"], "trusted_proxies": PROXIES}}, **models))
    found = listener_pb.Listener.FromString(envoy.of(names.LISTENER_TYPE)[HTTP3].body)
    formats = []
    for chain in found.filter_chains:
        log = file_pb.FileAccessLog()
        manager_of(chain).access_log[0].typed_config.Unpack(log)
        formats.append(log.log_format.json_format["client"])

    kept = ("%COALESCE(", "tollgate.client:address", contract.FORWARDED_FOR_HEADER)
    expected = kept if called else (f"%REQ({contract.FORWARDED_FOR_HEADER})%",)
    assert any(all(part in text for part in expected) for text in formats), formats
