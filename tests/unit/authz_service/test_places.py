from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.keys import KeySettings
from authz_service.places import Found, found_in
from authz_service.request import Ask, parse_ask
from tests.support.authz import check_request

SETTINGS = KeySettings(
    ("x-api-key", "authorization"), "api_key", "tollgate_key", b"", forward=False, report_addresses=False
)


def found(*headers: tuple[str, str | bytes], path: str = "/") -> list[Found]:
    ask = parse_ask(check_request(headers, path=path))
    assert isinstance(ask, Ask)
    return list(found_in(ask, SETTINGS))


FIELDS = st.lists(
    st.text(alphabet=st.characters(codec="ascii", exclude_characters="&#?= \t\r\n+%"), max_size=6), max_size=6
)


@given(
    before=FIELDS,
    behind=FIELDS,
    name=st.sampled_from(["api_key", "api%5fkey", "%61pi_key", "api%5Fkey"]),
    valued=st.booleans(),
)
def test_a_query_keeps_all_but_the_key(before: list[str], behind: list[str], name: str, *, valued: bool):
    others = [f"{text}={text}" if valued else text for text in (*before, *behind)]
    if "api_key" in (*before, *behind):
        return
    query = "&".join((*others[: len(before)], f"{name}=K", *others[len(before) :]))
    (only,) = found(path=f"/a/b?{query}")

    assert only.value == b"K"
    assert only.without.value == ("/a/b?" + "&".join(others) if "&".join(others) else "/a/b")


@given(st.lists(st.sampled_from(["api_key", "api%5Fkey", "API_KEY", "api-key", "api_key ", "api_key%20", "b"])))
def test_names_are_read_as_upstreams_read_them(names: list[str]):
    query = "&".join(f"{name}=x" for name in names)
    read = [value for name, value in parse_qsl(query) if name == "api_key"]

    assert len(found(path=f"/?{query}")) == len(read)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/?api_key", b""),
        ("/?api_key=", b""),
        ("/?api_key=a=b", b"a=b"),
        (f"/?api_key={quote('tgk_x')}%5F", b"tgk_x_"),
        ("/?a?api_key=x", None),
        ("/api_key=x", None),
        ("/%3Fapi_key=x", None),
    ],
)
def test_where_a_parameter_begins_and_ends(path: str, value: bytes | None):
    assert [item.value for item in found(path=path)] == ([] if value is None else [value])


@pytest.mark.parametrize(
    "query",
    [
        "a=1;api_key=x", "api_key=x;a=1", "a=1&b=2;api_key=x&c=3", "api_key=x;", ";api_key=x", "a;%61pi%5Fkey=x",
        "a=1;api_key", "api_key=x;api_key=y",
    ],
)  # fmt: skip
def test_what_a_semicolon_makes_a_key_of_is_more_than_one(query: str):
    """Who divides there reads it, and who does not reads something else."""
    assert len(found(path=f"/?{query}")) > 1


@pytest.mark.parametrize("query", ["a=1;b=2", "api_key2=x;a=1", "a=1;API_KEY=x", "a=1%3Bapi_key=x", "a=b=;c"])
def test_a_semicolon_is_no_key(query: str):
    assert found(path=f"/?{query}") == []


COOKIE = st.text(alphabet=st.characters(codec="ascii", exclude_characters='; \t\r\n,"\\'), min_size=1, max_size=6)


@given(st.lists(COOKIE, max_size=4), st.lists(COOKIE, max_size=4))
def test_cookies_keep_all_but_the_key(before: list[str], behind: list[str]):
    others = [f"c{text}" for text in (*before, *behind)]
    pairs = [*others[: len(before)], 'tollgate_key="K"', *others[len(before) :]]
    (only,) = found(("cookie", "; ".join(pairs)))

    assert (only.value, only.without.value) == (b"K", "; ".join(others) or None)


def test_cookies_of_several_headers_are_one():
    (only,) = found(("cookie", "a=1; tollgate_key=K"), ("cookie", b"b=\xc3\xa9"))

    assert (only.without.header, only.without.value) == ("cookie", "a=1; b=é")


def test_whatever_stands_in_a_place_counts():
    everything = found(
        ("x-api-key", "a"), ("X-Api-Key", "b,c"), ("authorization", "Basic x"), ("cookie", "tollgate_key=d"),
        path="/?api_key=e",
    )  # fmt: skip

    assert [item.value for item in everything] == [b"Basic x", b"a", b"b", b"c", b"e", b"d"]


def test_no_credential_shows_in_a_repr():
    assert "K3y" not in repr(found(("x-api-key", "K3y"), path="/?api_key=K3y&rest=K3y"))
