"""TLS to the store, both sides with certificates. Valkey's wheel has no TLS: a real Envoy ends it in front of one."""

from collections.abc import Iterator

import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from google.protobuf.json_format import ParseDict

from ratelimit_service.addresses import StoreAddressError
from ratelimit_service.connections import StoreOptions, StoreTls
from ratelimit_service.failures import FailureKind
from ratelimit_service.store import redis_store
from tests.support.certificates import Authority, issued
from tests.support.envoy import static_envoy
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.steps import counted, failure, is_up
from tests.support.valkey import valkey_server

TLS, PROXY = (
    f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
    for message in (tls_pb2.DownstreamTlsContext, tcp_proxy_pb2.TcpProxy)
)


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def port(tmp_path_factory, authority) -> Iterator[int]:
    """A port where the store speaks TLS, to whoever shows a certificate of the authority."""
    folder = tmp_path_factory.mktemp("tls")
    files = issued(authority, folder / "server")
    port = free_port()
    with valkey_server(folder) as server:
        socket = server.address.removeprefix("unix:")
        with static_envoy(ParseDict(_bootstrap(port, socket, files), bootstrap_pb.Bootstrap()), folder):
            yield port


def _bootstrap(port, socket, files):
    def data(file):
        return {"filename": str(file)}

    tls = {
        "@type": TLS,
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_certificates": [
                {"certificate_chain": data(files.certificate), "private_key": data(files.private_key)}
            ],
            "validation_context": {"trusted_ca": data(files.authority)},
        },
    }
    proxy = {"@type": PROXY, "stat_prefix": "store", "cluster": "store"}
    endpoint = {"endpoint": {"address": {"pipe": {"path": socket}}}}
    return {
        "static_resources": {
            "listeners": [
                {
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                    "filter_chains": [
                        {
                            "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
                            "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}],
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "store",
                    "load_assignment": {"cluster_name": "store", "endpoints": [{"lb_endpoints": [endpoint]}]},
                }
            ],
        }
    }


def options(files, *, authority=None):
    tls = StoreTls(authority or files.authority, files.certificate, files.private_key)
    return StoreOptions(tls=tls, timeout=0.9)  # a handshake on a busy machine


async def test_both_sides_show_certificates(port, authority, tmp_path):
    store = redis_store(f"rediss://localhost:{port}", options(issued(authority, tmp_path / "own")))

    assert await counted(store) >= 1
    await store.close()


@pytest.mark.parametrize(
    "case",
    ["another authority", "no certificate of our own", "another name", "no TLS at all"],
)
async def test_who_cannot_be_verified_is_not_asked(port, authority, tmp_path, case):
    files = issued(authority, tmp_path / "own")
    strange = issued(Authority("another"), tmp_path / "strange")
    address, chosen = {
        "another authority": (f"rediss://localhost:{port}", options(files, authority=strange.authority)),
        "no certificate of our own": (f"rediss://localhost:{port}", StoreOptions(tls=StoreTls(files.authority))),
        "another name": (f"rediss://127.0.0.1:{port}", options(files)),
        "no TLS at all": (f"redis://localhost:{port}", StoreOptions()),
    }[case]
    store = redis_store(address, chosen)

    assert await failure(store) is FailureKind.CONNECTION
    await store.close()


async def test_certificates_are_exchanged_without_a_restart(port, authority, tmp_path):
    """An expired one is refused; the one that takes its place is read at the next connection."""
    files = issued(authority, tmp_path / "own", days=-1)
    store = redis_store(f"rediss://localhost:{port}", options(files))
    assert await failure(store) is FailureKind.CONNECTION

    issued(authority, tmp_path / "own")

    await eventually(lambda: is_up(store))
    await store.close()


@pytest.mark.parametrize("address", ["rediss://store", "rediss+sentinel://store/counters", "rediss+cluster://store"])
def test_files_that_are_no_certificates_are_refused_before_anything_is_connected(address, tmp_path):
    nonsense = tmp_path / "ca.crt"
    nonsense.write_text("no certificate")

    with pytest.raises(StoreAddressError, match="certificates for the store cannot be used"):
        redis_store(address, StoreOptions(tls=StoreTls(nonsense)))
