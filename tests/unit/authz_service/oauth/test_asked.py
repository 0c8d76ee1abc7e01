"""A token request is read in one way or refused (RFC 6749, 2.3.1, 3.2, 4.4.2 and 5.2)."""

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.oauth.asked import Client, read_request
from authz_service.oauth.refusal import Refused

FORM = "application/x-www-form-urlencoded"
GRANT = b"grant_type=client_credentials"


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


def read(body: bytes = GRANT, *authorization: bytes, content_type: tuple[str, ...] = (FORM,), query: str = ""):
    return read_request(query=query, content_type=content_type, authorization=authorization, body=body)


@pytest.mark.parametrize(
    ("body", "authorization", "expected"),
    [
        pytest.param(GRANT, (basic("id:secret"),), Client("id", b"secret", "Basic"), id="basic"),
        pytest.param(GRANT, (basic("a%2Bb:s%3A%25+t"),), Client("a+b", b"s:% t", "Basic"), id="form-encoded basic"),
        pytest.param(GRANT, (basic("id:a:b"),), Client("id", b"a:b", "Basic"), id="colons"),
        pytest.param(GRANT, (b"bAsIc  " + base64.b64encode(b"id:s"),), Client("id", b"s", "Basic"), id="any case"),
        pytest.param(GRANT, (b"Bearer tgk_x",), Client(None, b"tgk_x", "Bearer"), id="bearer"),
        pytest.param(GRANT + b"&client_id=me", (b"Bearer tgk_x",), Client("me", b"tgk_x", "Bearer"), id="named bearer"),
        pytest.param(GRANT + b"&client_id=id", (basic("id:s"),), Client("id", b"s", "Basic"), id="the same id twice"),
        pytest.param(GRANT + b"&client_id=a%20b&client_secret=s%2B", (), Client("a b", b"s+", None), id="form"),
        pytest.param(GRANT + b"&client_secret=&client_id=", (basic("id:s"),), Client("id", b"s", "Basic"), id="empty"),
    ],
)
def test_a_client_says_who_it_is_in_one_place(body, authorization, expected):
    assert read(body, *authorization).client == expected


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        pytest.param(b"", None, id="none"),
        pytest.param(b"&scope=", None, id="empty"),
        pytest.param(b"&scope=email.send", {"email.send"}, id="one"),
        pytest.param(b"&scope=b+a", {"a", "b"}, id="two"),
    ],
)
def test_scopes_are_words(scope, expected):
    assert read(GRANT + scope, basic("id:s")).scope == expected


def test_other_parameters_are_passed_over():
    assert read(GRANT + b"&audience=x&resource=y", basic("id:s")).scope is None


@pytest.mark.parametrize(
    ("arguments", "options", "code", "status"),
    [
        pytest.param((b"", basic("i:s")), {}, "invalid_request", 400, id="empty"),
        pytest.param((b"grant_type=", basic("i:s")), {}, "invalid_request", 400, id="no grant"),
        pytest.param((b"grant_type=password", basic("i:s")), {}, "unsupported_grant_type", 400, id="grant"),
        pytest.param((GRANT + b"&" + GRANT, basic("i:s")), {}, "invalid_request", 400, id="twice"),
        pytest.param((GRANT + b"&scope=&scope=a", basic("i:s")), {}, "invalid_request", 400, id="twice, once empty"),
        pytest.param((GRANT + b"&x" * 40, basic("i:s")), {}, "invalid_request", 400, id="many"),
        pytest.param((GRANT + b"&scope=a++b", basic("i:s")), {}, "invalid_scope", 400, id="two spaces"),
        pytest.param((GRANT + b"&scope=%22", basic("i:s")), {}, "invalid_scope", 400, id="quote"),
        pytest.param((GRANT + b"&scope=%FF", basic("i:s")), {}, "invalid_request", 400, id="no utf-8"),
        pytest.param((GRANT + b"&scope=\xff", basic("i:s")), {}, "invalid_request", 400, id="no ascii"),
        pytest.param((GRANT, basic("i:s")), {"query": "client_secret=s"}, "invalid_request", 400, id="query"),
        pytest.param((GRANT, basic("i:s")), {"content_type": ()}, "invalid_request", 400, id="no type"),
        pytest.param((GRANT, basic("i:s")), {"content_type": (FORM, FORM)}, "invalid_request", 400, id="two types"),
        pytest.param((GRANT, basic("i:s")), {"content_type": ("application/json",)}, "invalid_request", 400, id="json"),
        pytest.param((GRANT,), {}, "invalid_client", 401, id="nobody"),
        pytest.param((GRANT + b"&client_id=i",), {}, "invalid_client", 401, id="no secret"),
        pytest.param((GRANT + b"&client_secret=s",), {}, "invalid_request", 400, id="no id"),
        pytest.param((GRANT, basic("i:s"), basic("i:s")), {}, "invalid_request", 400, id="two headers"),
        pytest.param((GRANT, basic("i:s") + b", " + basic("i:s")), {}, "invalid_client", 401, id="joined headers"),
        pytest.param((GRANT + b"&client_secret=s", basic("i:s")), {}, "invalid_request", 400, id="two methods"),
        pytest.param((GRANT + b"&client_id=j", basic("i:s")), {}, "invalid_request", 400, id="two ids"),
        pytest.param((GRANT, b"Basic !!!"), {}, "invalid_client", 401, id="no base64"),
        pytest.param((GRANT, basic("only")), {}, "invalid_client", 401, id="no colon"),
        pytest.param((GRANT, basic(":s")), {}, "invalid_client", 401, id="no name"),
        pytest.param((GRANT, basic("i:%FF")), {}, "invalid_client", 401, id="no text"),
        pytest.param((GRANT, b"Digest x"), {}, "invalid_client", 401, id="scheme"),
        pytest.param((GRANT, b"Bearer " + b"x" * 8_193), {}, "invalid_client", 401, id="long"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_in_one_way_is_refused(arguments, options, code, status):
    with pytest.raises(Refused) as refused:
        read(*arguments, **options)

    assert (refused.value.code, refused.value.status) == (code, status)


def test_a_type_may_have_parameters():
    assert read(GRANT, basic("id:s"), content_type=(f"{FORM.upper()}; charset=UTF-8",)).client.id == "id"


def test_nothing_shows_the_secret():
    assert "secret-of-mine" not in repr(read(GRANT, basic("id:secret-of-mine")))


@given(st.binary(max_size=200), st.lists(st.binary(max_size=60), max_size=2), st.text(max_size=20))
def test_whatever_is_sent_is_read_or_refused(body, authorization, content_type):
    for kind in (content_type, FORM):
        with suppress(Refused):
            read(body, *authorization, content_type=(kind,))


@given(st.binary(max_size=60), st.sampled_from([b"Basic ", b"Bearer ", b"basic "]))
def test_whatever_stands_behind_a_scheme_is_read_or_refused(value, scheme):
    for sent in (scheme + value, scheme + base64.b64encode(value)):
        with suppress(Refused):
            read(GRANT, sent)
