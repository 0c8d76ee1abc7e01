"""Who the client is, told by proxies that are trusted and by everybody else who would like to be.

Every address of 127.66.0.0/16 stands for a trusted proxy, 127.0.0.1 for anybody.
"""

import httpx
import pytest

from tests.e2e.listeners.conftest import Front

PROXY, ANYBODY = "127.66.7.1", "127.0.0.1"


def ask(front: Front, source: str, *headers: tuple[str, str], path: str = "/public/x") -> httpx.Response:
    transport = httpx.HTTPTransport(local_address=source)
    with httpx.Client(transport=transport, trust_env=False) as client:
        return client.get(f"http://127.0.0.1:{front.ports['proxied']}{path}", headers=list(headers))


def upstream_saw(response: httpx.Response, name: str) -> list[str]:
    return [value for key, value in response.json()["headers"] if key == name]


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("x-forwarded-for", value) for value in values]


@pytest.mark.parametrize(
    ("source", "headers", "client"),
    [
        pytest.param(ANYBODY, [], ANYBODY, id="nobody-says-anything"),
        pytest.param(ANYBODY, forwarded("9.9.9.9"), ANYBODY, id="anybody-spoofs"),
        pytest.param(ANYBODY, forwarded("9.9.9.9", "8.8.8.8"), ANYBODY, id="anybody-spoofs-twice"),
        pytest.param(ANYBODY, forwarded("9.9.9.9, 127.66.1.1"), ANYBODY, id="anybody-names-a-proxy"),
        pytest.param(PROXY, [], PROXY, id="a-proxy-asks-for-itself"),
        pytest.param(PROXY, forwarded("9.9.9.9"), "9.9.9.9", id="a-proxy-names-its-client"),
        pytest.param(PROXY, forwarded("6.6.6.6, 9.9.9.9"), "9.9.9.9", id="the-client-spoofs-before-the-proxy"),
        pytest.param(PROXY, forwarded("6.6.6.6", "9.9.9.9"), "9.9.9.9", id="in-a-header-of-its-own"),
        pytest.param(PROXY, forwarded("6.6.6.6, 9.9.9.9, 10.1.1.1, 127.66.3.3"), "9.9.9.9", id="a-chain-of-proxies"),
        pytest.param(PROXY, forwarded("10.1.1.1, 10.2.2.2"), "10.1.1.1", id="all-are-proxies"),
        pytest.param(PROXY, forwarded("2001:db9::7, 2001:db8::1"), "2001:db9::7", id="ipv6"),
        # Written so, it is none of the trusted networks, and so the client: nothing left of it is believed.
        pytest.param(PROXY, forwarded("9.9.9.9, ::ffff:10.0.0.1"), "::ffff:10.0.0.1", id="ipv4-in-ipv6"),
    ],
)
def test_log_and_upstream_see_one_address(front: Front, source: str, headers: list[tuple[str, str]], client: str):
    response = ask(front, source, *headers)

    assert upstream_saw(response, "x-forwarded-for") == [client]
    row = front.gateway.logged(response.headers["x-request-id"])
    assert (row["client"], row["listener"]) == (client, "proxied")


@pytest.mark.parametrize(
    "chain",
    ["9.9.9.9, nonsense", "9.9.9.9, nonsense, 10.1.1.1", "nonsense, 9.9.9.9", "9.9.9.9:4711", "unknown", "", ",,"],
)
def test_a_proxy_that_names_no_address_is_told_so(front: Front, chain: str):
    """Else the proxy would count as the client, and an address list that holds it would pass everybody."""
    response = ask(front, PROXY, *forwarded(chain))

    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")
    assert "X-Forwarded-For" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("source", "scheme"), [pytest.param(PROXY, "https", id="proxy"), pytest.param(ANYBODY, "http", id="anybody")]
)
def test_only_a_proxy_says_how_the_client_came(front: Front, source: str, scheme: str):
    response = ask(front, source, ("x-forwarded-proto", "https"))

    assert upstream_saw(response, "x-forwarded-proto") == [scheme]


@pytest.mark.parametrize("source", [PROXY, ANYBODY])
def test_all_else_is_believed_of_nobody(front: Front, source: str):
    names = (
        "forwarded", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-real-ip", "true-client-ip",
        "x-original-url", "x-rewrite-url", "x-tollgate-subject", "x-envoy-internal", "proxy",
        "x-envoy-external-address", "x-forwarded-client-cert",
    )  # fmt: skip
    response = ask(front, source, *((name, "6.6.6.6") for name in names), ("x-request-id", "mine"))

    assert "6.6.6.6" not in response.text
    assert upstream_saw(response, "x-request-id") == [response.headers["x-request-id"]] != ["mine"]


@pytest.mark.parametrize(
    ("source", "claimed", "status"),
    [
        pytest.param(PROXY, "203.0.113.9", 200, id="a-client-inside"),
        pytest.param(PROXY, "198.51.100.9", 403, id="a-client-outside"),
        pytest.param(PROXY, "203.0.113.9, 198.51.100.9", 403, id="a-client-outside-who-spoofs"),
        pytest.param(ANYBODY, "203.0.113.9", 403, id="anybody-who-spoofs"),
    ],
)
def test_lists_of_addresses_see_the_client_that_was_found(front: Front, source: str, claimed: str, status: int):
    assert ask(front, source, *forwarded(claimed), path="/inside").status_code == status


def test_nothing_more_is_told_of_requests_that_came_by_a_proxy(front: Front):
    """Envoy trusts what comes from a proxy in more ways than one."""
    by_proxy, direct = (ask(front, source, *forwarded("9.9.9.9")) for source in (PROXY, ANYBODY))

    assert {name for name, _ in by_proxy.json()["headers"]} <= {name for name, _ in direct.json()["headers"]}
    assert set(by_proxy.headers) == set(direct.headers)


def test_limits_count_the_client_that_was_found(front: Front):
    statuses = {
        client: [ask(front, PROXY, *forwarded(f"6.6.6.{n}, {client}"), path="/limited").status_code for n in range(3)]
        for client in ("203.0.113.1", "203.0.113.2")
    }
    spoofing = [ask(front, ANYBODY, *forwarded(f"6.6.6.{n}"), path="/limited").status_code for n in range(3)]

    assert statuses == {"203.0.113.1": [200, 200, 429], "203.0.113.2": [200, 200, 429]}
    assert spoofing == [200, 200, 429]


def test_limits_count_one_address_however_it_is_written(front: Front):
    def statuses(*clients: str) -> list[int]:
        return [ask(front, PROXY, *forwarded(client), path="/limited").status_code for client in clients]

    assert statuses("203.0.113.3", "::ffff:203.0.113.3", "::ffff:cb00:7103") == [200, 200, 429]
    assert statuses("::ffff:203.0.113.4") == [200]
    assert statuses("2001:db9::1", "2001:db9::2", "2001:db9::3", "2001:db9:0:1::1") == [200, 200, 429, 200]
