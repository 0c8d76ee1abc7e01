import pytest

from authz_service.request import Ask, Skew, parse_ask
from tests.support.authz import ROUTE, check_request


def asked(data: bytes) -> Ask:
    ask = parse_ask(data)
    assert isinstance(ask, Ask)
    return ask


def test_the_demands_are_the_routes_own():
    ask = asked(check_request([], {**ROUTE, "scopes": "email.send  email.read", "roles": "admin user"}))

    assert (ask.route, ask.profile, ask.accept) == ("email", "p1", {"jwt", "bearer"})
    assert (ask.scopes, ask.roles) == (("email.send", "email.read"), ("admin", "user"))


@pytest.mark.parametrize("raw", [True, False])
def test_headers_in_either_form(*, raw: bool):
    ask = asked(check_request([("Authorization", "Bearer x"), ("x-other", "y")], raw=raw))

    assert ask.header("authorization") == (b"Bearer x",)


def test_repeated_headers_stay_apart():
    ask = asked(check_request([("authorization", b"\xff"), ("AUTHORIZATION", "b")]))

    assert ask.header("authorization") == (b"\xff", b"b")


def test_headers_do_not_show_in_a_repr():
    assert "s3cret" not in repr(asked(check_request([("authorization", "Bearer s3cret")])))


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        pytest.param([("x-request-id", "abc")], "abc", id="header"),
        pytest.param([], "17", id="stream-number"),
        pytest.param([("x-request-id", b"a\xff")], "a\ufffd", id="no-ascii"),
        pytest.param([("x-request-id", "a" * 500)], "a" * 128, id="long"),
    ],
)
def test_the_request_id_is_the_one_that_envoy_logs(headers: list[tuple[str, str | bytes]], request_id: str):
    assert asked(check_request(headers)).request_id == request_id


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in ROUTE.items() if key != name}


@pytest.mark.parametrize(
    "demands",
    [
        pytest.param({}, id="none"),
        pytest.param({**ROUTE, "models": "x"}, id="unknown-demand"),
        pytest.param({**ROUTE, "dialect": "esperanto"}, id="unknown-dialect"),
        pytest.param({**ROUTE, "dialect": ""}, id="no-dialect"),
        pytest.param({**ROUTE, "Scopes": "x"}, id="unknown-case"),
        pytest.param({**ROUTE, "": "x"}, id="unnamed-demand"),
        pytest.param(without("route"), id="no-route"),
        pytest.param(without("profile"), id="no-profile"),
        pytest.param(without("accept"), id="no-credential"),
        pytest.param({**ROUTE, "accept": ""}, id="empty-credential"),
        pytest.param({**ROUTE, "accept": " "}, id="blank-credential"),
        pytest.param({**ROUTE, "accept": "jwt password"}, id="unknown-credential"),
        pytest.param({**ROUTE, "accept": "jwt,bearer"}, id="credentials-in-another-spelling"),
        pytest.param({**ROUTE, "accept": "anonymous"}, id="nobody-at-all"),
        pytest.param({**ROUTE, "mode": "dry"}, id="unknown-mode"),
        pytest.param({**ROUTE, "route": "-"}, id="route-poses-as-missing"),
        pytest.param({**ROUTE, "profile": "-"}, id="public-profile"),
        pytest.param({**ROUTE, "profile": "p 1"}, id="profile-that-no-header-carries"),
        pytest.param({**ROUTE, "scopes": 'a"b'}, id="scope-with-a-quote"),
        pytest.param({**ROUTE, "scopes": "a\r\nb"}, id="scope-with-a-line-break"),
        pytest.param({**ROUTE, "scopes": "é"}, id="scope-beyond-ascii"),
    ],
)
def test_demands_that_cannot_be_read_are_a_skew(demands: dict[str, str]):
    skew = parse_ask(check_request([("x-request-id", "abc")], demands))

    assert isinstance(skew, Skew)
    assert skew.request_id == "abc"


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x0a\x05", b"GET / HTTP/1.1"])
def test_anything_but_a_check_request_is_a_skew(data: bytes):
    assert isinstance(parse_ask(data), Skew)
