import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.config import values
from control_plane.config.model import hash_key
from control_plane.config.values import AmountValue, Mistake, RateValue, UpstreamAddress
from service_kit.endpoint import TcpEndpoint

PARSERS = (
    values.duration,
    values.rate,
    values.size,
    values.body_size,
    values.address,
    values.upstream_url,
    values.name,
    values.word,
    values.text,
    values.host,
    values.path_pattern,
    values.absolute_path,
    values.replacement_path,
    values.substitution,
    values.regex,
    values.header_name,
    values.header_value,
)


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        pytest.param(values.duration, "500ms", 0.5, id="milliseconds"),
        pytest.param(values.duration, "1.5m", 90.0, id="fraction"),
        pytest.param(values.duration, "2h", 7200.0, id="hours"),
        pytest.param(values.rate, "60/minute", RateValue(60, 60), id="rate"),
        pytest.param(values.amount, "100/month", AmountValue(100 * 10**9, "month"), id="amount"),
        pytest.param(values.amount, "0.1/week", AmountValue(10**8, "week"), id="exact fraction"),
        pytest.param(values.size, "10MB", 10_000_000, id="decimal size"),
        pytest.param(values.size, "512KiB", 524_288, id="binary size"),
        pytest.param(values.size, "7B", 7, id="bytes"),
        pytest.param(values.address, "[::]:8800", TcpEndpoint("::", 8800), id="IPv6 address"),
        pytest.param(values.upstream_url, "http://a", UpstreamAddress("a", 80, tls=False, path=""), id="default port"),
        pytest.param(
            values.upstream_url, "http://[::1]:81/", UpstreamAddress("::1", 81, tls=False, path=""), id="IPv6 URL"
        ),
        pytest.param(
            values.upstream_url,
            "http://my_service:81",
            UpstreamAddress("my_service", 81, tls=False, path=""),
            id="container",
        ),
        pytest.param(
            values.upstream_url,
            "https://api.example.com/v1/",
            UpstreamAddress("api.example.com", 443, tls=True, path="/v1"),
            id="TLS and a base path",
        ),
        pytest.param(values.network, "10.0.0.0/8", "10.0.0.0/8", id="network"),
        pytest.param(values.network, "2001:DB8::/32", "2001:db8::/32", id="IPv6 network"),
        pytest.param(values.network, "127.0.0.1", "127.0.0.1/32", id="one address"),
        pytest.param(values.origin, "https://*.example.com", "https://*.example.com", id="origins by suffix"),
        pytest.param(values.origin, "http://localhost:3000", "http://localhost:3000", id="origin with a port"),
        pytest.param(values.path_pattern, "/users/{id}/orders/*", "/users/{id}/orders/*", id="template"),
        pytest.param(values.replacement_path, "/v2/{id}", "/v2/{id}", id="replacement"),
        pytest.param(values.substitution, r"/\1/v2\2", r"/\1/v2\2", id="groups"),
        pytest.param(values.substitution, "", "", id="nothing instead"),
        pytest.param(values.substitution, ".", ".", id="a dot inside a segment"),
        pytest.param(values.header_name, "x-beta", "x-beta", id="header"),
        pytest.param(values.regex, "/v[0-9]+/.*", "/v[0-9]+/.*", id="expression"),
        pytest.param(hash_key, "header x-user", "header x-user", id="hash by a header"),
        pytest.param(values.host, "*.example.com", "*.example.com", id="suffix"),
        pytest.param(values.path_pattern, "/*", "/*", id="everything"),
        pytest.param(values.path_pattern, "/a/*", "/a/*", id="prefix"),
        pytest.param(values.path_pattern, "/a/", "/a/", id="trailing slash"),
        pytest.param(values.path_pattern, "/caf%C3%A9", "/caf%C3%A9", id="escaped UTF-8"),
        pytest.param(values.path_pattern, "/.well-known/a..b", "/.well-known/a..b", id="dots in names"),
    ],
)
def test_values(parse, text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        pytest.param(values.duration, "5s\n", id="line end"),
        pytest.param(values.duration, "٣s", id="other digits"),
        pytest.param(values.size, "9" * 5000 + "B", id="number too long for Python"),
        pytest.param(values.address, "127.0.0.1:" + "9" * 5000, id="port too long for Python"),
        pytest.param(values.address, "fe80::1%eth0:80", id="zone"),
        pytest.param(values.address, "unix:/a:80", id="socket"),
        pytest.param(values.upstream_url, "http://a\n", id="line end in a URL"),
        pytest.param(values.upstream_url, "http://a..b", id="empty label"),
        pytest.param(values.upstream_url, "http://a?", id="empty query"),
        pytest.param(values.upstream_url, "http://[::1", id="open bracket"),
        pytest.param(values.upstream_url, "HTTP:a", id="no authority"),
        pytest.param(values.host, "a_b.example", id="underscore"),
        pytest.param(values.host, "*.*.example", id="two stars"),
        pytest.param(values.host, "a.", id="trailing dot"),
        pytest.param(values.path_pattern, "", id="no path"),
        pytest.param(values.path_pattern, "*", id="star alone"),
        pytest.param(values.path_pattern, "/a/*/*", id="two stars in a path"),
        pytest.param(values.path_pattern, "/a/..", id="dots at the end"),
        pytest.param(values.path_pattern, "/a/../*", id="dots before a star"),
        pytest.param(values.path_pattern, "//*", id="empty segment"),
        pytest.param(values.path_pattern, "/a\\b", id="backslash"),
        pytest.param(values.path_pattern, "/a%5cb", id="escaped backslash"),
        pytest.param(values.path_pattern, "/a%00", id="escaped NUL"),
        pytest.param(values.path_pattern, "/a%2e%2e/b", id="escaped dots"),
        pytest.param(values.path_pattern, "/a b", id="space"),
        pytest.param(values.path_pattern, "/a#b", id="fragment"),
        pytest.param(values.path_pattern, "/a/x{b}", id="variable in a part of a segment"),
        pytest.param(values.path_pattern, "/{a}/{a}", id="one variable twice"),
        pytest.param(values.path_pattern, "/{A}", id="variable in capitals"),
        pytest.param(values.replacement_path, "/.{a}", id="a variable that could make dots"),
        pytest.param(values.replacement_path, "/{a", id="half a variable"),
        pytest.param(values.substitution, "a//b", id="two slashes in a substitution"),
        pytest.param(values.substitution, r"/\1/../x", id="dots in a substitution"),
        pytest.param(values.substitution, "/a?b", id="query in a substitution"),
        pytest.param(values.substitution, r"/\n", id="no group"),
        pytest.param(values.substitution, "/%2f", id="escaped slash in a substitution"),
        pytest.param(values.regex, "(", id="half an expression"),
        pytest.param(values.regex, "(?=a)", id="look-ahead"),
        pytest.param(values.regex, "é", id="letters beyond ASCII"),
        pytest.param(values.regex, "a{400}b{400}c{400}", id="too large a program"),
        pytest.param(values.regex, "", id="no expression"),
    ],
)
def test_texts_that_are_refused(parse, text):
    with pytest.raises(Mistake):
        parse(text)


@given(st.sampled_from(PARSERS), st.text(max_size=40))
def test_any_text_is_a_value_or_a_mistake(parse, text):
    cure = "none is needed"
    try:
        parse(text)
    except Mistake as mistake:
        cure = mistake.cure
    assert cure


@given(st.floats(min_value=0.001, max_value=86400))
def test_a_written_duration_is_read_back(seconds):
    rounded = round(seconds, 3)

    assert values.duration(values.written_duration(rounded)) == pytest.approx(rounded, rel=1e-5)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://user:word@h:1", id="a URL"),
        pytest.param("http://user:word@h:1x", id="no port"),
        pytest.param("http://user:word@[h", id="no host"),
    ],
)
def test_a_url_with_a_password_is_not_shown(url: str) -> None:
    with pytest.raises(Mistake, match="the URL holds a user name or password") as caught:
        values.upstream_url(url)

    assert "word@" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100/month", "100/month"),
        ("0.000000001/day", "0.000000001/day"),
        ("5.050/week", "5.05/week"),
        ("5.0/day", "5/day"),
    ],
)
def test_an_amount_is_written_in_one_way(text, expected):
    assert str(values.amount(text)) == expected
