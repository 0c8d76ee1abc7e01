"""Which endpoint of an upstream gets a request, and what a client is told where none can answer."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.ports import free_port
from tests.support.upstream import Upstream, running_upstream

FAST_CHECK = {"interval": "200ms", "timeout": "1s"}


@dataclass(frozen=True)
class Setting:
    """A gateway and the servers behind it."""

    gateway: Gateway
    first: Upstream
    second: Upstream
    third: Upstream


def routes(*names: str, **options: Any) -> list[dict[str, Any]]:
    return [
        {"name": name, "match": {"path": f"/{name}/*"}, "upstream": name, "auth": "none", "rewrite": "/", **options}
        for name in names
    ]


@contextmanager
def upstreams(**named: dict[str, Any]) -> Iterator[Gateway]:
    """A gateway with a route to each of these upstreams."""
    with running_gateway({"upstreams": named, "routes": routes(*named)}) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def setting() -> Iterator[Setting]:
    with ExitStack() as stack:
        first, second = (stack.enter_context(running_upstream()) for _ in range(2))
        third = stack.enter_context(running_upstream(host="::1"))
        both = [first.url, second.url]
        dead = f"http://127.0.0.1:{free_port()}"
        named: dict[str, dict[str, Any]] = {
            "turns": {"endpoints": both},
            "mixed": {"endpoints": [first.url, f"http://localhost:{second.port}"]},
            "name": {"url": f"http://localhost:{first.port}"},
            "ipv6": {"url": f"http://[::1]:{third.port}"},
            "unresolvable": {"url": "http://nowhere.invalid"},
            "one-dead": {"endpoints": [first.url, dead], "health_check": FAST_CHECK},
            "one-wrong-status": {
                "endpoints": both, "health_check": {**FAST_CHECK, "path": f"/only/{first.port}", "statuses": [200]},
            },
            "never-well": {"url": first.url, "health_check": {**FAST_CHECK, "path": "/status/503"}},
            "random": {"endpoints": both, "load_balancing": {"policy": "random"}},
            "least": {"endpoints": both, "load_balancing": {"policy": "least_request"}},
            "ring": {"endpoints": both, "load_balancing": {"policy": "ring_hash", "hash_by": "header x-user"}},
            "maglev": {"endpoints": both, "load_balancing": {"policy": "maglev", "hash_by": "header x-user"}},
            "narrow": {
                "url": first.url, "circuit_breaker": {"max_connections": 1, "max_pending": 1, "max_requests": 2},
            },
        }  # fmt: skip
        gateway = stack.enter_context(upstreams(**named))
        yield Setting(gateway, first, second, third)


def answered_by(client: httpx.Client, path: str, **options: Any) -> int:
    """The port of the server that answered."""
    response = client.get(path, **options)
    assert response.status_code == 200, response.text
    return int(response.json()["port"])


@pytest.mark.parametrize("upstream", ["turns", "mixed", "random", "least"])
def test_every_endpoint_gets_its_share(setting: Setting, upstream):
    with setting.gateway.client() as client:
        ports = {answered_by(client, f"/{upstream}/x") for _ in range(40)}

    assert ports == {setting.first.port, setting.second.port}


@pytest.mark.parametrize(("upstream", "server"), [("name", "first"), ("ipv6", "third")])
def test_an_endpoint_is_found_by_name_and_by_ipv6(setting: Setting, upstream, server):
    with setting.gateway.client() as client:
        assert answered_by(client, f"/{upstream}/x") == getattr(setting, server).port


@pytest.mark.parametrize("upstream", ["ring", "maglev"])
def test_requests_of_one_user_meet_at_one_endpoint(setting: Setting, upstream):
    with setting.gateway.client() as client:
        homes = {
            user: {answered_by(client, f"/{upstream}/x", headers={"x-user": user}) for _ in range(5)}
            for user in map(str, range(20))
        }

    assert all(len(ports) == 1 for ports in homes.values())
    assert len(set.union(*homes.values())) == 2


def test_a_name_that_does_not_resolve_is_unreachable(setting: Setting):
    with setting.gateway.client() as client:
        response = client.get("/unresolvable/x")

    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert gateway_flags(setting, response) == "UH"


def test_an_endpoint_whose_check_fails_gets_nothing(setting: Setting):
    with setting.gateway.client() as client:
        statuses = {client.get("/one-dead/x").status_code for _ in range(40)}

    assert statuses == {200}


def test_where_no_endpoint_is_well_all_are_tried(setting: Setting):
    """A check that asks for the wrong thing does not take a service down."""
    with setting.gateway.client() as client:
        assert client.get("/never-well/x").status_code == 200


def test_what_is_more_than_an_upstream_may_get_is_refused_at_once(setting: Setting):
    """Each of Envoy's threads may open a connection; one more request waits, the others are told so."""
    with ThreadPoolExecutor(12) as pool, setting.gateway.client() as client:
        slow = [pool.submit(client.get, "/narrow/silent/2") for _ in range(12)]
        answers = [future.result() for future in slow]
        after = client.get("/narrow/x")

    refused = [answer for answer in answers if answer.status_code != 200]
    assert 0 < len(refused) < len(answers)
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in refused} == {
        (503, "upstream_overloaded")
    }
    assert {gateway_flags(setting, answer) for answer in refused} == {"UO"}
    assert after.status_code == 200


def gateway_flags(setting: Setting, response: httpx.Response) -> str:
    return str(setting.gateway.logged(response.headers["x-request-id"])["flags"])


def test_an_endpoint_that_answers_badly_is_left_alone(setting: Setting):
    first, second = setting.first, setting.second
    outliers = {"consecutive_5xx": 2, "interval": "100ms", "ejection_time": "1h", "max_ejected": 10}
    both = {"endpoints": [first.url, second.url], "outlier_detection": outliers, "health_check": FAST_CHECK}
    with upstreams(both=both) as gateway, gateway.client() as client:
        first.status = 500
        try:
            until(lambda: {client.get("/both/x").status_code for _ in range(10)} == {200})
            second.status = 500  # one is the most that may be left alone
            time.sleep(1)  # some checks of the health of the first, which succeed
            answers = [client.get("/both/x") for _ in range(10)]
        finally:
            first.status = second.status = None

    assert {answer.status_code for answer in answers} == {500}
    assert {answer.json()["from"] for answer in answers} == {second.port}


def test_an_only_endpoint_is_never_left_alone(setting: Setting):
    outliers = {"consecutive_5xx": 1, "interval": "100ms", "ejection_time": "1h"}
    only = {"url": setting.second.url, "outlier_detection": outliers}
    with upstreams(only=only) as gateway, gateway.client() as client:
        bad = [client.get("/only/status/500").status_code for _ in range(5)]
        time.sleep(0.5)  # some intervals
        good = client.get("/only/x").status_code

    assert (set(bad), good) == ({500}, 200)


def test_readiness_waits_for_what_is_required_and_health_for_nothing():
    """The required upstream asks as Ollama answers; the other one is dead all the time."""
    port = free_port()
    required = {
        "url": f"http://127.0.0.1:{port}", "api": "ollama", "readiness": "required", "health_check": FAST_CHECK,
    }  # fmt: skip
    ignored = {"url": f"http://127.0.0.1:{free_port()}", "health_check": FAST_CHECK}
    with ExitStack() as stack:
        backend = ExitStack()
        running = backend.enter_context(running_upstream(port))
        stack.callback(backend.close)
        gateway = stack.enter_context(upstreams(backend=required, other=ignored))
        client = stack.enter_context(gateway.client())
        ready = client.get("/readyz").status_code
        backend.close()
        until(lambda: client.get("/readyz").status_code == 503)
        health = client.get("/health").status_code
        answer = client.get("/backend/x")
        with running_upstream(port):
            until(lambda: client.get("/readyz").status_code == 200)
            back = client.get("/backend/x").status_code

    assert (ready, health, back) == (200, 200, 200)
    assert running.served > 0
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")


def test_endpoints_that_are_all_replaced_leave_no_gap(setting: Setting):
    """The old ones are well all the time, and get nothing any longer; the new ones have not been asked yet."""
    first, second = setting.first, setting.second
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool, upstreams(moving={"url": first.url}) as gateway, gateway.client() as client:
        traffic = pool.submit(statuses_until, over, gateway)
        try:
            for target in (second, first, second, first):
                gateway.write({"upstreams": {"moving": {"url": target.url}}, "routes": routes("moving")})
                until(lambda target=target: answered_by(client, "/moving/x") == target.port)
                assert {answered_by(client, "/moving/x") for _ in range(20)} == {target.port}
        finally:
            over.set()
        statuses = traffic.result()

    assert statuses == {200}


def statuses_until(over: threading.Event, gateway: Gateway) -> set[int]:
    """What a client that never pauses is answered."""
    with gateway.client() as client:
        return {client.get("/moving/x").status_code for _ in iter(over.is_set, True)}
