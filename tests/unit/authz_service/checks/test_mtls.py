import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service_kit.subscription import PolicyRejected
from tests.support.authz import NOW, ROUTE, Answer, Gate, check_request, gate, policy
from tests.support.certificates import Authority
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

CA = Authority()
ISSUED = dt.datetime.now(dt.UTC).timestamp()
SPIFFE, DNS, NAME = "CERTIFICATE_NAME_SPIFFE", "CERTIFICATE_NAME_DNS", "CERTIFICATE_NAME_COMMON_NAME"
MTLS = {**ROUTE, "accept": "mtls"}


def client(name: str, **fields: object) -> policy_pb.MtlsClient:
    return policy_pb.MtlsClient(name=name, **fields)


def at(subject: str, *clients: policy_pb.MtlsClient) -> Gate:
    """A gate on the day on which the certificates are issued."""
    known = gate(policy(mtls=policy_pb.MtlsSettings(subject=subject, clients=clients)))
    known.clock.advance(ISSUED - NOW)
    return known


def show(known: Gate, *names: str) -> Answer:
    return known.answer(check_request([], MTLS, certificate=CA.issue(*names)[0]))


def test_a_certificate_stands_for_its_client():
    known = at(SPIFFE, client("spiffe://a/b", tenant="acme", plan="pro", scopes=["x"], roles=["r"]))
    answer = known.answer(
        check_request([], {**MTLS, "scopes": "x", "roles": "r"}, certificate=CA.issue("spiffe://a/b")[0])
    )

    assert {part: answer.part(part) for part in ("subject", "consumer", "tenant", "plan")} == {
        "subject": "spiffe://a/b", "consumer": "spiffe://a/b", "tenant": "acme", "plan": "pro",
    }  # fmt: skip
    assert len(answer.part("key-id")) == 64
    assert answer.removed == []


@pytest.mark.parametrize(
    ("subject", "known", "shown", "who"),
    [
        pytest.param(SPIFFE, "spiffe://a/*", ["spiffe://a/b/c"], "spiffe://a/b/c", id="below a path"),
        pytest.param(SPIFFE, "spiffe://a/*", ["spiffe://a"], None, id="not the path itself"),
        pytest.param(SPIFFE, "spiffe://a/b/*", ["spiffe://a/bc"], None, id="whole segments"),
        pytest.param(
            SPIFFE, "spiffe://a/b", ["spiffe://a/b", "x.example.com"], "spiffe://a/b", id="hosts do not count"
        ),
        pytest.param(SPIFFE, "spiffe://a/b", ["spiffe://a/b", "https://c/d"], None, id="two URIs"),
        pytest.param(SPIFFE, "spiffe://a/*", ["spiffe://a/../b"], None, id="dots"),
        pytest.param(SPIFFE, "spiffe://a/*", ["spiffe://a//b"], None, id="an empty segment"),
        pytest.param(SPIFFE, "spiffe://a/*", ["spiffe://a/%2e"], None, id="an escape"),
        pytest.param(SPIFFE, "spiffe://a/*", ["spiffe://A/b"], None, id="capitals in the domain"),
        pytest.param(SPIFFE, "x.example.com", ["x.example.com"], None, id="a host is no SPIFFE ID"),
        pytest.param(DNS, "x.example.com", ["x.example.com"], "x.example.com", id="a host"),
        pytest.param(DNS, "x.example.com", ["y.example.com", "x.example.com"], "x.example.com", id="one of its hosts"),
        pytest.param(DNS, "*.a.com", ["b.c.a.com"], "b.c.a.com", id="a suffix"),
        pytest.param(DNS, "*.a.com", ["a.com"], None, id="not the suffix itself"),
        pytest.param(DNS, "*.a.com", ["evila.com"], None, id="whole labels"),
        pytest.param(DNS, "*.a.com", ["*.a.com"], None, id="a certificate for many hosts"),
        pytest.param(DNS, "*.a.com", ["x.a.com", "y.a.com"], None, id="two known hosts"),
        pytest.param(NAME, "x.example.com", ["x.example.com", "y.example.com"], "x.example.com", id="the common name"),
        pytest.param(NAME, "y.example.com", ["x.example.com", "y.example.com"], None, id="a host is no common name"),
    ],
)
def test_one_name_counts(subject: str, known: str, shown: list[str], who: str | None):
    answer = show(at(subject, client(known)), *shown)

    assert answer.code == ("ok" if who else "unknown_certificate")
    if who is not None:
        assert answer.part("subject") == who


def test_the_narrowest_pattern_decides():
    known = at(
        SPIFFE, client("spiffe://a/*", plan="free"), client("spiffe://a/b/*", plan="pro"), client("spiffe://a/b/c")
    )

    plans = [show(known, f"spiffe://a/{path}").part("plan") for path in ("x", "b/x", "b/c")]
    assert plans == ["free", "pro", "-"]


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [("nonsense", "unreadable"), (CA.pem, "unknown_name"), (CA.issue("spiffe://a/b", days=-1)[0], "expired")],
    ids=["nonsense", "an authority", "expired"],
)
def test_what_says_nothing_is_nobodys(certificate: str, reason: str):
    known = at(SPIFFE, client("spiffe://a/b"))

    assert known.answer(check_request([], MTLS, certificate=certificate)).code == "unknown_certificate"
    assert known.log_lines()[0]["reason"] == reason


def test_a_connection_outlives_its_certificate_and_is_refused_then():
    known, shown = at(SPIFFE, client("spiffe://a/b")), CA.issue("spiffe://a/b")[0]
    assert known.answer(check_request([], MTLS, certificate=shown)).allowed
    known.clock.advance(2 * 86400)

    assert known.answer(check_request([], MTLS, certificate=shown)).code == "unknown_certificate"


@pytest.mark.parametrize(
    "settings",
    [
        policy_pb.MtlsSettings(clients=[client("a")]),
        policy_pb.MtlsSettings(subject=SPIFFE, clients=[client("spiffe://a/b"), client("spiffe://a/b")]),
        *(policy_pb.MtlsSettings(subject=SPIFFE, clients=[client(name)]) for name in ("", "*", "spiffe://*/b", "a*")),
    ],
    ids=["no kind", "a name twice", "no name", "everybody", "a star inside", "half a word"],
)
def test_settings_that_would_let_in_others_are_rejected(settings: policy_pb.MtlsSettings):
    with pytest.raises(PolicyRejected):
        gate(policy(mtls=settings))


def test_without_settings_a_route_for_certificates_is_a_skew():
    assert gate().answer(check_request([], MTLS)).status == 503


def test_a_name_of_a_kind_that_nobody_reads_is_an_unreadable_certificate():
    """An x400Address (RFC 5280, 4.2.1.6)."""
    names = x509.UnrecognizedExtension(x509.oid.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x04\xa3\x02\x30\x00")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "a")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )

    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    answer = at(NAME, client("a")).answer(check_request([], MTLS, certificate=pem))
    assert (answer.status, answer.code) == (401, "unknown_certificate")
