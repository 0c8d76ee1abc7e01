import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.config import values
from control_plane.config.values import Mistake, RateValue
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
)


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        pytest.param(values.duration, "500ms", 0.5, id="milliseconds"),
        pytest.param(values.duration, "1.5m", 90.0, id="fraction"),
        pytest.param(values.duration, "2h", 7200.0, id="hours"),
        pytest.param(values.rate, "60/minute", RateValue(60, 60), id="rate"),
        pytest.param(values.size, "10MB", 10_000_000, id="decimal size"),
        pytest.param(values.size, "512KiB", 524_288, id="binary size"),
        pytest.param(values.size, "7B", 7, id="bytes"),
        pytest.param(values.address, "[::]:8800", TcpEndpoint("::", 8800), id="IPv6 address"),
        pytest.param(values.upstream_url, "http://a", TcpEndpoint("a", 80), id="default port"),
        pytest.param(values.upstream_url, "http://[::1]:81/", TcpEndpoint("::1", 81), id="IPv6 URL"),
        pytest.param(values.upstream_url, "http://my_service:81", TcpEndpoint("my_service", 81), id="container"),
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
