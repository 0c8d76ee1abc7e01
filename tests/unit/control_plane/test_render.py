"""Everything is shown, unpacked, but secrets; what cannot be read is an error."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as tls_pb
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthz
from envoy_data_plane.google.protobuf import Any as DataPlaneAny
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.render import KINDS, REDACTED, UnknownField, redacted, rendered
from control_plane.snapshot import Snapshot, resource, snapshot
from control_plane.xds import names
from control_plane.xds.packing import packed, serialized
from service_kit.contract import API_KEY_TYPE, AUTHZ_POLICY_NAME, AUTHZ_POLICY_TYPE
from tests.support.certificates import Authority
from tests.support.compiled import JWT_SECRET, TOKEN, config, private, route, snapshots
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

POLICY_KINDS = ("authz", "ratelimit", "ledger")
UNKNOWN_FIELD = b"\xf8\xff\x03\x01"  # field 8191, varint 1
CERTIFICATE, PRIVATE_KEY = Authority().issue("gateway.example.com")
CREDENTIAL = "a-credential-of-an-upstream"
CONFIG = config(
    listeners={"tls": {"address": "127.0.0.1:8443", "tls": {"certificate": CERTIFICATE, "private_key": PRIVATE_KEY}}},
    upstreams={
        "email": {
            "url": "http://127.0.0.1:9001", "credential": {"header": "authorization", "value": CREDENTIAL},
        },
    },
    identity={
        "jwt": [
            {
                "name": "accounts", "issuer": "https://a.example.com", "audiences": ["gateway"],
                "algorithms": ["HS256"], "keys": {"secret": JWT_SECRET},
            }
        ],
        "bearer_tokens": [{"name": "ops", "token": TOKEN}],
    },
    admin={"token": "an-admin-token-of-the-file"},
    plans={"free": {"limits": [{"requests": "60/minute", "per": ["ip", "subject"]}]}},
    defaults={"auth": ["jwt"]},
    ledger={"retention": "30d"},
    routes=[private(auth=["jwt", "bearer"]), route("public", "/public", hosts=["*.example.com"], websocket=True)],
)  # fmt: skip


@pytest.fixture(scope="module")
def compiled() -> tuple[Snapshot, Snapshot]:
    return snapshots(CONFIG)


def shown(compiled: tuple[Snapshot, Snapshot], kind: str) -> dict[str, Any]:
    envoy, policies = compiled
    return rendered(policies if kind in POLICY_KINDS else envoy, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_shown_by_name_as_plain_data(compiled: tuple[Snapshot, Snapshot], kind: str) -> None:
    resources = shown(compiled, kind)

    assert resources
    assert list(resources) == sorted(resources)
    assert yaml.safe_load(yaml.safe_dump(resources)) == resources


def test_no_output_holds_a_secret(compiled: tuple[Snapshot, Snapshot]) -> None:
    text = yaml.safe_dump({kind: shown(compiled, kind) for kind in KINDS}, width=10**6)

    digest = sha256(TOKEN.encode()).digest()
    secrets = (
        JWT_SECRET,
        TOKEN,
        digest.hex(),
        "an-admin-token-of-the-file",
        CREDENTIAL,
        b64encode(JWT_SECRET.encode()).decode(),
    )
    assert [secret for secret in (*secrets, b64encode(digest).decode()) if secret in text] == []


def test_no_redacted_resource_holds_a_secret(compiled: tuple[Snapshot, Snapshot]) -> None:
    hidden = [
        secret
        for plain in (JWT_SECRET, TOKEN, CREDENTIAL, PRIVATE_KEY)
        for secret in (plain.encode(), sha256(plain.encode()).digest())
    ]
    resources = [item for held in compiled for named in held.resources.values() for item in named.values()]
    shown = b"".join(redacted(item.type_url, item.body) for item in resources)

    assert any(secret in item.body for item in resources for secret in hidden)
    assert [secret for secret in hidden if secret in shown] == []
    assert REDACTED.encode() in shown


def test_the_hash_of_a_key_is_not_shown() -> None:
    """Neither of a declared one nor of one that was made at run time: with the pepper, it tries out keys."""
    key = policy_pb.ApiKey(id="5vg68MA6yzYr", hash=b"a-hash-of-thirty-two-bytes------", consumer="acme")
    policy = policy_pb.AuthzPolicy(declared_keys=[key])

    stored = policy_pb.ApiKey.FromString(redacted(API_KEY_TYPE, key.SerializeToString()))
    assert (stored.id, stored.hash) == (key.id, REDACTED.encode())
    assert key.hash not in redacted(AUTHZ_POLICY_TYPE, policy.SerializeToString())
    held = snapshot([resource(AUTHZ_POLICY_TYPE, AUTHZ_POLICY_NAME, policy.SerializeToString())])
    assert rendered(held, "authz")[AUTHZ_POLICY_NAME]["declared_keys"][0]["hash"] == REDACTED


def test_a_redacted_resource_lacks_nothing_else(compiled: tuple[Snapshot, Snapshot]) -> None:
    without = tuple(
        snapshot(
            resource(item.type_url, item.name, redacted(item.type_url, item.body))
            for named in held.resources.values()
            for item in named.values()
        )
        for held in compiled
    )

    assert {kind: shown(without, kind) for kind in KINDS} == {kind: shown(compiled, kind) for kind in KINDS}


def test_certificates_are_shown_and_their_keys_are_not(compiled: tuple[Snapshot, Snapshot]) -> None:
    pair = shown(compiled, "secrets")["tollgate:listener:tls:certificate"]["tls_certificate"]

    assert [item["subject"] for item in pair["certificate_chain"]] == ["CN=gateway.example.com"]
    assert pair["private_key"] == "[redacted]"
    assert PRIVATE_KEY.splitlines()[1] not in str(compiled[0])


def test_files_of_secrets_are_named() -> None:
    context = tls_pb.UpstreamTlsContext()
    context.common_tls_context.tls_certificates.add().private_key.filename = "/run/tls.key"
    cluster = cluster_pb.Cluster(name="c")
    cluster.transport_socket.typed_config.CopyFrom(packed(context))
    held = snapshot([resource(names.CLUSTER_TYPE, "c", serialized(cluster))])

    assert "'filename': '/run/tls.key'" in str(rendered(held, "clusters"))


def test_a_secret_is_seen_to_be_there(compiled: tuple[Snapshot, Snapshot]) -> None:
    policy = shown(compiled, "authz")[AUTHZ_POLICY_NAME]

    assert policy["jwt"][0]["secret"] == "[redacted]"
    assert policy["bearer_tokens"][0]["sha256"] == "[redacted]"


def test_enumerations_are_words(compiled: tuple[Snapshot, Snapshot]) -> None:
    assert shown(compiled, "ratelimit")["plan/free"]["limits"][0]["per"] == ["DIMENSION_IP", "DIMENSION_SUBJECT"]
    assert shown(compiled, "clusters")["email"]["type"] == "EDS"


def test_an_extension_that_only_one_library_knows_is_unpacked(compiled: tuple[Snapshot, Snapshot]) -> None:
    chain = shown(compiled, "listeners")["tls"]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]

    assert [link["name"] for link in chain][-1] == names.ROUTER
    assert all("@type" in link["typed_config"] for link in chain)


def cluster_with(extension: bytes, type_url: str) -> Snapshot:
    cluster = cluster_pb.Cluster(name="c")
    cluster.typed_extension_protocol_options["x"].CopyFrom(ProtoAny(type_url=type_url, value=extension))
    return snapshot([resource(names.CLUSTER_TYPE, "c", serialized(cluster))])


EXT_AUTHZ = DataPlaneAny.pack(ExtAuthz())
NESTED = (
    b"\x8a\x01" + bytes([len(UNKNOWN_FIELD)]) + UNKNOWN_FIELD
)  # ExtAuthz.allowed_headers (17) with an unknown field


def test_an_unknown_field_is_an_error() -> None:
    cluster = serialized(cluster_pb.Cluster(name="c")) + UNKNOWN_FIELD

    with pytest.raises(UnknownField, match="Cluster"):
        rendered(snapshot([resource(names.CLUSTER_TYPE, "c", cluster)]), "clusters")


@pytest.mark.parametrize(
    ("extension", "type_url"),
    [
        pytest.param(UNKNOWN_FIELD, EXT_AUTHZ.type_url, id="in-an-extension"),
        pytest.param(NESTED, EXT_AUTHZ.type_url, id="deep-in-an-extension"),
        pytest.param(b"", "type.googleapis.com/envoy.of.the.Future", id="of-a-type-nobody-knows"),
    ],
)
def test_an_extension_that_cannot_be_shown_whole_is_an_error(extension: bytes, type_url: str) -> None:
    with pytest.raises(UnknownField):
        rendered(cluster_with(extension, type_url), "clusters")


def test_an_extension_without_unknown_fields_is_shown() -> None:
    options = rendered(cluster_with(EXT_AUTHZ.value, EXT_AUTHZ.type_url), "clusters")["c"]

    assert options["typed_extension_protocol_options"] == {"x": {"@type": EXT_AUTHZ.type_url}}


def test_the_golden_files_hold_no_secret() -> None:
    golden = Path(__file__).resolve().parents[2] / "golden"
    environ = {"JWT_SECRET": "a-secret-of-at-least-thirty-two-bytes", "BEARER_TOKEN": "a-bearer-token-for-tests"}
    digests = [sha256(secret.encode()).digest() for secret in environ.values()]
    secrets = [*environ.values(), *(d.hex() for d in digests), *(b64encode(d).decode() for d in digests)]

    texts = {file: file.read_text() for file in golden.rglob("*.yaml") if {"in", "in.yaml"}.isdisjoint(file.parts)}

    assert texts
    assert [file for file, text in texts.items() if any(secret in text for secret in secrets)] == []
