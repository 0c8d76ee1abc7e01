"""A snapshot whose secrets and references to them do not fit, or whose body limit is off for no reason."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb

from control_plane.consistency import InconsistentSnapshot, checked
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.secrets import authorities
from tests.support.certificates import Authority
from tests.support.compiled import config, route, snapshots, with_resource, without

CA = Authority().pem
PAIR = dict(zip(("certificate", "private_key"), Authority().issue("gateway"), strict=True))
UPSTREAM = "tollgate:upstream:email"


@pytest.fixture(scope="module")
def right() -> tuple[Snapshot, Snapshot]:
    return snapshots(
        config(
            listeners={"public": {"address": "127.0.0.1:8800", "tls": {**PAIR, "client_ca": CA}}},
            upstreams={
                "email": {
                    "endpoints": ["https://a.internal", "https://b.internal"],
                    "tls": {"ca": CA, **PAIR},
                    "credential": {"header": "x-key", "value": "k"},
                },
                "calls": {"url": "http://127.0.0.1:9001", "protocol": "http2"},
            },
            routes=[route("stream", "/stream", upstream="calls", streaming=True)],
        )
    )


def faults(envoy: Snapshot, policies: Snapshot) -> str:
    with pytest.raises(InconsistentSnapshot) as refused:
        checked(envoy, policies)
    return str(refused.value)


def test_what_is_compiled_is_right(right: tuple[Snapshot, Snapshot]) -> None:
    assert checked(*right) is right[0]


def test_each_secret_that_is_wanted_must_be_there(right: tuple[Snapshot, Snapshot]) -> None:
    envoy, policies = right
    sent = envoy.of(names.SECRET_TYPE).keys()

    assert {f"{UPSTREAM}:{part}" for part in ("ca", "certificate", "credential")} < sent
    for name in sent:
        assert f"secret {name!r} is wanted, and is not there" in faults(
            without(envoy, names.SECRET_TYPE, name), policies
        )


def test_no_secret_is_sent_to_nobody(right: tuple[Snapshot, Snapshot]) -> None:
    envoy, policies = right
    stray = with_resource(envoy, names.SECRET_TYPE, "stray", authorities("stray", CA))

    assert "secret 'stray' is there, and nothing wants it" in faults(stray, policies)


def test_a_body_without_limit_needs_an_upstream_that_streams(right: tuple[Snapshot, Snapshot]) -> None:
    envoy, policies = right
    plain = cluster_pb.Cluster.FromString(envoy.of(names.CLUSTER_TYPE)["calls"].body)
    plain.typed_extension_protocol_options.clear()

    assert "route 'stream' has no body limit" in faults(
        with_resource(envoy, names.CLUSTER_TYPE, "calls", plain), policies
    )
