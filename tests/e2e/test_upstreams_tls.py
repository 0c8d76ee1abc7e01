"""What of an https upstream is verified, and what it is shown."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.certificates import Authority
from tests.support.gateway import Gateway, running_gateway
from tests.support.tls_peer import tls_peer

UNREACHABLE = "upstream_unreachable"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Many upstreams on a few servers; `SSL_CERT_FILE` makes one authority that of the whole machine."""
    ours, clients, strangers = Authority("ours"), Authority("clients"), Authority("strangers")
    bundle = tmp_path_factory.mktemp("system") / "authorities.pem"
    bundle.write_text(ours.pem)

    def peer(pair: tuple[str, str], **options: object) -> int:
        return stack.enter_context(tls_peer(tmp_path_factory.mktemp("peer"), pair, **options))

    with ExitStack() as stack:
        good = peer(ours.issue("localhost", "127.0.0.1", "api.internal"))
        elsewhere = peer(ours.issue("elsewhere.internal"))
        expired = peer(ours.issue("127.0.0.1", days=-1))
        old = peer(ours.issue("127.0.0.1"), newest=ssl.TLSVersion.TLSv1_2)
        mutual = peer(ours.issue("127.0.0.1"), client_ca=clients.pem)
        certificate, private_key = clients.issue("gateway")
        stranger, strangers_key = strangers.issue("gateway")
        upstreams = {
            "system": {"url": f"https://127.0.0.1:{good}"},
            "own-ca": {"url": f"https://127.0.0.1:{good}", "tls": {"ca": ours.pem}},
            "by-name": {"url": f"https://localhost:{good}"},
            "server-name": {"url": f"https://127.0.0.1:{good}", "tls": {"server_name": "api.internal"}},
            "wrong-ca": {"url": f"https://127.0.0.1:{good}", "tls": {"ca": strangers.pem}},
            "wrong-server-name": {"url": f"https://127.0.0.1:{good}", "tls": {"server_name": "other.internal"}},
            "wrong-name": {"url": f"https://localhost:{elsewhere}"},
            "wrong-address": {"url": f"https://127.0.0.1:{elsewhere}"},
            "one-wrong": {"endpoints": [f"https://127.0.0.1:{elsewhere}", f"https://localhost:{elsewhere}"]},
            "one-right": {"endpoints": [f"https://127.0.0.1:{good}", f"https://localhost:{elsewhere}"]},
            "expired": {"url": f"https://127.0.0.1:{expired}"},
            "unverified": {"url": f"https://127.0.0.1:{expired}", "tls": {"verify": False}},
            "old": {"url": f"https://127.0.0.1:{old}"},
            "too-old": {"url": f"https://127.0.0.1:{old}", "tls": {"minimum_version": "1.3"}},
            "mutual": {
                "url": f"https://127.0.0.1:{mutual}", "tls": {"certificate": certificate, "private_key": private_key},
            },
            "mutual-stranger": {
                "url": f"https://127.0.0.1:{mutual}", "tls": {"certificate": stranger, "private_key": strangers_key},
            },
            "mutual-nobody": {"url": f"https://127.0.0.1:{mutual}"},
            "clear-text": {"url": f"http://127.0.0.1:{good}"},
            "watched": {
                "url": f"https://127.0.0.1:{good}", "tls": {"server_name": "api.internal"},
                "health_check": {"path": "/health", "interval": "200ms"}, "readiness": "required",
            },
        }  # fmt: skip
        routes = [{"name": name, "match": {"path": f"/{name}"}, "upstream": name, "auth": "none"} for name in upstreams]
        environ = {"SSL_CERT_FILE": str(bundle)}
        yield stack.enter_context(running_gateway({"upstreams": upstreams, "routes": routes}, environ))


@pytest.mark.parametrize(
    ("upstream", "asked_for"),
    [
        pytest.param("system", None, id="the machine's authorities, an address"),
        pytest.param("own-ca", None, id="an authority of our own"),
        pytest.param("by-name", "localhost", id="a name"),
        pytest.param("server-name", "api.internal", id="another name than the endpoint's"),
        pytest.param("one-right", None, id="of two endpoints, the one that is who it should be"),
        pytest.param("unverified", None, id="an expired certificate that nobody looks at"),
        pytest.param("watched", "api.internal", id="health is asked over TLS too"),
    ],
)
def test_an_upstream_that_proves_itself_answers(gateway: Gateway, upstream, asked_for):
    with gateway.client() as client:
        response = client.get(f"/{upstream}")

    assert response.status_code == 200, response.text
    seen = response.json()
    assert (seen["sni"], seen["version"], seen["alpn"]) == (asked_for, "TLSv1.3", "http/1.1")


@pytest.mark.parametrize(
    ("upstream", "reason"),
    [
        pytest.param("wrong-ca", "CERTIFICATE_VERIFY_FAILED", id="signed by another authority"),
        pytest.param("wrong-server-name", "CERTIFICATE_VERIFY_FAILED", id="another server name"),
        pytest.param("wrong-name", "CERTIFICATE_VERIFY_FAILED", id="another host"),
        pytest.param("wrong-address", "CERTIFICATE_VERIFY_FAILED", id="another address"),
        pytest.param("one-wrong", "CERTIFICATE_VERIFY_FAILED", id="two endpoints, both another host"),
        pytest.param("expired", "certificate_has_expired", id="expired"),
        pytest.param("too-old", "TLS_error", id="an old version of TLS"),
    ],
)
def test_an_upstream_that_does_not_is_unreachable_and_the_log_says_why(gateway: Gateway, upstream, reason):
    with gateway.client() as client:
        response = client.get(f"/{upstream}")

    assert (response.status_code, response.json()["error"]["code"]) == (502, UNREACHABLE)
    row = gateway.logged(response.headers["x-request-id"])
    assert "UF" in row["flags"].split(",")
    assert reason in row["details"]


def test_older_tls_is_spoken_where_it_is_allowed(gateway: Gateway):
    with gateway.client() as client:
        assert client.get("/old").json()["version"] == "TLSv1.2"


def test_the_gateway_shows_its_certificate_where_it_has_one(gateway: Gateway):
    with gateway.client() as client:
        answers = {name: client.get(f"/{name}") for name in ("mutual", "mutual-stranger", "mutual-nobody")}

    assert answers["mutual"].json()["client"] is True
    for name in ("mutual-stranger", "mutual-nobody"):
        assert (answers[name].status_code, answers[name].json()["error"]["code"]) == (502, UNREACHABLE)


def test_clear_text_to_a_tls_port_is_no_answer(gateway: Gateway):
    with gateway.client() as client:
        assert client.get("/clear-text").status_code == 502


def test_who_turns_verification_off_is_warned(gateway: Gateway):
    assert "its certificate is not verified: anybody may answer in its place" in gateway.log("control_plane")
