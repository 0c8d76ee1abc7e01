"""What an admin hears of although it is enforced."""

import time

import pytest

from tests.support.certificates import Authority
from tests.support.compiled import IDENTITY, compiled, config, route

DAY = 86_400
AUTHORITY = Authority()
PAIR = dict(zip(("certificate", "private_key"), AUTHORITY.issue("gateway"), strict=True))
VERIFIED = {"ca": AUTHORITY.pem, **PAIR}


@pytest.mark.parametrize(
    ("tls", "days", "expected"),
    [
        pytest.param(VERIFIED, 0, [], id="nothing"),
        pytest.param(VERIFIED, 3, ["a certificate expired on"] * 2, id="expired"),
        pytest.param(VERIFIED, -60, ["a certificate is valid only from"] * 2, id="of the future"),
        pytest.param({"verify": False}, 0, ["its certificate is not verified"], id="unverified"),
    ],
)
def test_doubtful_upstreams(tls, days, expected) -> None:
    checked = compiled(config(upstreams={"api": {"url": "https://10.0.0.1", "tls": tls}}))
    found = checked.warnings(time.time() + days * DAY)

    assert len(found) == len(expected)
    assert all(words in text for words, text in zip(expected, found, strict=True))
    assert all("gateway.yaml:" in text and "upstreams.api.tls." in text for text in found)


def test_a_listener_whose_certificate_has_expired() -> None:
    checked = compiled(config(listeners={"public": {"address": "127.0.0.1:8800", "tls": PAIR}}))

    (found,) = checked.warnings(time.time() + 3 * DAY)
    assert "listeners.public.tls.certificate" in found


@pytest.mark.parametrize(("auth", "warned"), [("none", True), (["bearer"], False)], ids=["public", "authorized"])
def test_answers_that_anybody_may_heap_up(auth, warned) -> None:
    kept = route(auth=auth, cache={"shared": True})
    found = compiled(config(identity=IDENTITY, routes=[kept])).warnings(time.time())

    assert [("routes[0].cache" in text) for text in found] == [True] * warned


PRIVATE = route("admin", "/admin/*", auth=["bearer"])


@pytest.mark.parametrize(
    ("match", "warned"),
    [
        pytest.param({"path": "/{tenant}/{page}/{part}"}, True, id="template"),
        pytest.param({"path": "/{tenant}"}, True, id="template-of-the-prefix-itself"),
        pytest.param({"path": "/shop/{page}"}, False, id="template-elsewhere"),
        pytest.param({"path_regex": r"/.*\.css"}, True, id="expression"),
        pytest.param({"path_regex": r"/static/.*\.css"}, False, id="expression-elsewhere"),
        pytest.param({"path": "/*"}, False, id="prefix-that-is-wider"),
        pytest.param({"path": "/{tenant}/x", "hosts": ["other.example.com"]}, False, id="another-host"),
    ],
)
def test_a_public_route_that_opens_a_private_prefix(match, warned) -> None:
    private = {**PRIVATE, "match": {**PRIVATE["match"], "hosts": ["api.example.com"]}}
    public = {**route("open"), "match": match}
    found = compiled(config(identity=IDENTITY, routes=[private, public])).warnings(time.time())

    assert [("routes[1].match" in text and "'admin'" in text) for text in found] == [True] * warned


def test_what_other_gateways_take_for_a_variable() -> None:
    (found,) = compiled(config(routes=[route(path="/users/:id")])).warnings(time.time())

    assert "routes[0].match.path" in found
