"""What a certificate lets its holder be, by its alternative names alone."""

import datetime as dt
from collections.abc import Mapping, Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service_kit.peers import Peer, Role, peer_of, refusal


class Call:
    """The part of a call's context that says who calls."""

    def __init__(self, stated: Mapping[str, Sequence[bytes]], peer: str = "ipv4:127.0.0.1:1") -> None:
        self._stated = stated
        self._peer = peer

    def peer(self) -> str:
        return self._peer

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return self._stated


def peer(uris: Sequence[bytes] = (), dns: Sequence[bytes] = ()) -> Peer:
    uri_names = [x509.UniformResourceIdentifier(name.decode()) for name in uris]
    return holder_of(pem_with(*uri_names, *(x509.DNSName(name.decode()) for name in dns)))


def holder_of(*pems: bytes) -> Peer:
    found = peer_of(Call({"x509_pem_cert": pems}))  # type: ignore[arg-type]  # what is used of a context
    assert found is not None
    return found


def pem_with(*names: x509.GeneralName) -> bytes:
    """A certificate with these alternative names; gRPC has checked who signed it."""
    key, nobody = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    built = x509.CertificateBuilder().subject_name(nobody).issuer_name(nobody).public_key(key.public_key())
    dated = built.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    named = dated.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else dated
    return named.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("uri", "dns"),
    [
        pytest.param(b"spiffe://example.org/tollgate/envoy", b"envoy.tollgate", id="any-group"),
        pytest.param(b"spiffe://cluster.local/tollgate/envoy", b"envoy.tollgate", id="any-trust-domain"),
    ],
)
def test_a_role_without_a_group_is_of_every_group(uri: bytes, dns: bytes) -> None:
    for found in (peer([uri]), peer(dns=[dns])):
        assert found.may_be(Role.ENVOY)
        assert found.may_be(Role.ENVOY, "edge")
        assert not found.may_be(Role.SERVICE)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(peer([b"spiffe://example.org/tollgate/envoy/edge"]), id="uri"),
        pytest.param(peer(dns=[b"envoy.edge.tollgate"]), id="dns"),
    ],
)
def test_a_certificate_for_a_group_is_for_no_other_and_not_for_none(found: Peer) -> None:
    assert found.may_be(Role.ENVOY, "edge")
    assert not found.may_be(Role.ENVOY)
    assert not found.may_be(Role.ENVOY, "inside")
    assert not found.may_be(Role.SERVICE, "edge")


def test_a_certificate_may_have_several_names() -> None:
    found = peer([b"spiffe://a/tollgate/envoy/edge", b"spiffe://a/tollgate/envoy/inside"], [b"host", b"admin.tollgate"])

    assert found.may_be(Role.ENVOY, "edge")
    assert found.may_be(Role.ENVOY, "inside")
    assert found.may_be(Role.ADMIN)
    assert not found.may_be(Role.ENVOY)


@pytest.mark.parametrize(
    ("uris", "dns"),
    [
        pytest.param((), (b"localhost", b"10.0.0.1"), id="hosts"),
        pytest.param((b"spiffe://a/tollgate/envoy/",), (), id="empty-group"),
        pytest.param((b"spiffe://a/tollgate/envoy/edge/x",), (), id="more-path"),
        pytest.param((b"spiffe://a/b/tollgate/envoy",), (), id="path-before"),
        pytest.param((b"spiffe://a/tollgate/envoy?x",), (), id="query"),
        pytest.param((b"spiffe:///tollgate/envoy",), (), id="no-trust-domain"),
        pytest.param((b"https://a/tollgate/envoy",), (), id="another-scheme"),
        pytest.param((b"spiffe://a/tollgate/envoys",), (), id="another-role"),
        pytest.param((b"spiffe://a/tollgate/envoy\n",), (), id="newline"),
        pytest.param((b"spiffe://a/tollgate/envoy%2Fedge",), (), id="escaped"),
        pytest.param((b"envoy.tollgate",), (), id="dns-name-as-uri"),
        pytest.param((), (b"spiffe://a/tollgate/envoy",), id="uri-as-dns-name"),
        pytest.param((), (b"envoy.tollgate.example.org",), id="dns-suffix"),
        pytest.param((), (b"x.envoy.tollgate",), id="dns-prefix"),
        pytest.param((), (b"*.tollgate",), id="wildcard"),
        pytest.param((), (b"envoytollgate",), id="no-dot"),
        pytest.param((b"spiffe://a/tollgate/admin\0.example.org",), (), id="nul-in-uri"),
        pytest.param((), (b"admin.tollgate\0.example.org",), id="nul-in-dns"),
        pytest.param((b"spiffe://a/tollgate/admin/edge",), (b"service.edge.tollgate",), id="group-of-no-envoy"),
        pytest.param((), (), id="none"),
    ],
)
def test_other_names_mean_nothing(uris: Sequence[bytes], dns: Sequence[bytes]) -> None:
    assert peer(uris, dns).identities == frozenset()


def test_a_wildcard_for_groups_is_no_group_that_a_node_can_have() -> None:
    assert peer(dns=[b"envoy.*.tollgate"]).identities == frozenset()


def test_on_a_unix_socket_its_mode_says_who_may_connect() -> None:
    assert peer_of(Call({}, "unix:")) is None  # type: ignore[arg-type]  # what is used of a context


def test_who_comes_without_a_certificate_is_nobody() -> None:
    found = peer_of(Call({"transport_security_type": [b"insecure"]}))  # type: ignore[arg-type]  # as above

    assert found == Peer(frozenset())


def test_a_refusal_names_what_is_there_and_what_would_do() -> None:
    said = refusal(peer(dns=[b"localhost"]), Role.ENVOY, "edge")

    assert "localhost" in said
    assert "spiffe://TRUST-DOMAIN/tollgate/envoy/edge" in said
    assert "envoy.edge.tollgate" in said


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", id="noise"),
        pytest.param(pem_with(x509.RFC822Name("admin.tollgate")), id="mail-address"),
        pytest.param(pem_with(x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c\x01a")), id="other-name"),
    ],
)
def test_a_certificate_that_says_nothing_of_us(pem: bytes) -> None:
    assert holder_of(pem) == Peer(frozenset())
