"""What clients see while something is edited, killed or away."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from control_plane.history.history import FILE_NAME
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import Upstream

TOKEN = "a-bearer-token-for-tests"
BEARER = {"authorization": f"Bearer {TOKEN}"}
PAUSE = 0.002  # the load is there to meet changes half-way, not to be high


def config(upstream: Upstream, *routes: dict) -> dict:
    return {
        "identity": {"bearer_tokens": [{"name": "ops", "token": TOKEN}]},
        "upstreams": {"echo": {"url": upstream.url}},
        "routes": [
            {"name": "private", "match": {"path": "/private"}, "upstream": "echo", "auth": ["bearer"]},
            {"name": "public", "match": {"path": "/public"}, "upstream": "echo", "auth": "none"},
            {"name": "limited", "match": {"path": "/limited"}, "upstream": "echo", "auth": "none",
             "limits": [{"requests": "100000/minute", "per": "ip"}]},
            *routes,
        ],
    }  # fmt: skip


@pytest.fixture
def disrupted(upstream: Upstream) -> Iterator[Gateway]:
    """A gateway of the test's own: it will not be left as it was."""
    with running_gateway(config(upstream)) as running:
        yield running


def status_of(gateway: Gateway, path: str) -> int:
    return httpx.get(gateway.url + path, headers=BEARER, trust_env=False, verify=False, timeout=10).status_code


def errors_of(gateway: Gateway) -> list[str]:
    return gateway.status()["configuration"]["errors"]


def _told(gateway: Gateway, answer: httpx.Response) -> str:
    """What the access log says of a failed request."""
    row = gateway.logged(answer.headers["x-request-id"])
    return f"{row['route']} {row['status']} {row['flags']} {row['details']} {row['upstream']} {row['time']}"


@contextmanager
def load(gateway: Gateway, *paths: str) -> Iterator[Counter]:
    """Requests in a loop until the block ends, each counted by its outcome."""
    outcomes: Counter = Counter()
    stop = threading.Event()

    def run() -> None:
        with httpx.Client(base_url=gateway.url, headers=BEARER, trust_env=False, verify=False, timeout=10) as client:
            while not stop.is_set() and outcomes.total() < 100_000:
                for path in paths:
                    time.sleep(PAUSE)
                    try:
                        answer = client.get(path)
                        outcomes[answer.status_code if answer.is_success else _told(gateway, answer)] += 1
                    except httpx.HTTPError as error:
                        outcomes[repr(error)] += 1

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_edits_go_live_under_load_without_a_failed_request(disrupted: Gateway, upstream: Upstream):
    """Routes come, move to a new upstream, change their demands and go; nobody notices."""
    extra = {"name": "extra", "match": {"path": "/extra"}, "upstream": "echo", "auth": "none"}
    with load(disrupted, "/private", "/public", "/limited") as outcomes:
        for number in range(8):
            disrupted.write(config(upstream, extra))
            until(lambda: status_of(disrupted, "/extra") == 200)
            moved = config(upstream, {**extra, "upstream": f"echo-{number}", "auth": ["bearer"]})
            moved["upstreams"][f"echo-{number}"] = {"url": upstream.url}
            for route in moved["routes"][:3]:
                route["upstream"] = f"echo-{number}"
            moved["routes"][0]["limits"] = [{"requests": f"{100_000 + number}/minute"}]
            disrupted.write(moved)
            until(lambda: httpx.get(f"{disrupted.url}/extra", trust_env=False, verify=False).status_code == 401)
            disrupted.write(config(upstream))
            until(lambda: status_of(disrupted, "/extra") == 404)

    assert set(outcomes) == {200}, outcomes
    assert outcomes[200] > 100


@pytest.mark.parametrize("remembered", [True, False], ids=["remembered", "forgotten"])
def test_a_file_that_was_changed_while_the_control_plane_was_away_goes_live_unnoticed(
    disrupted: Gateway, upstream: Upstream, remembered: bool
):
    """Every upstream and limit is another one then: taken away before the routes know, each request would fail.

    Also where the new one does not know what the old one sent last: it may have ended before it wrote that down.
    """
    with load(disrupted, "/private", "/public", "/limited") as outcomes:
        for name in ("moved", "echo", "moved-again"):
            pid = disrupted.pid_of("control_plane")
            os.kill(pid, signal.SIGSTOP)
            content = config(
                upstream, {"name": name, "match": {"path": f"/{name}"}, "upstream": "echo", "auth": "none"}
            )
            content["upstreams"] = {name: {"url": upstream.url}}
            content["routes"] = [{**route, "upstream": name} for route in content["routes"]]
            content["routes"][2]["limits"] = [{"requests": f"{100_000 + len(name)}/minute", "per": "ip"}]
            disrupted.write(content)
            if not remembered:
                for file in (disrupted.folder / "state").glob(f"{FILE_NAME}*"):
                    file.unlink()
            os.kill(pid, signal.SIGKILL)
            until(lambda name=name: status_of(disrupted, f"/{name}") == 200, seconds=60)

    assert set(outcomes) == {200}, outcomes
    assert outcomes[200] > 100


def test_an_invalid_edit_changes_nothing_and_is_shown_with_its_line(disrupted: Gateway, upstream: Upstream):
    disrupted.file.write_text(disrupted.file.read_text().replace("upstream: echo", "upstream: ehco", 1))

    message = until(lambda: errors_of(disrupted))[0]

    line = next(n for n, text in enumerate(disrupted.file.read_text().splitlines(), 1) if "ehco" in text)
    assert f"gateway.yaml:{line}:" in message
    assert "there is no upstream 'ehco'" in message
    assert "did you mean 'echo'?" in message
    assert message in disrupted.log("control_plane").replace('\\"', '"')
    assert [status_of(disrupted, path) for path in ("/private", "/public")] == [200, 200]
    metrics = httpx.get(f"{disrupted.admin_url}/metrics", trust_env=False, verify=False).text
    assert 'tollgate_config_valid{process="control_plane"} 0.0' in metrics

    disrupted.write(config(upstream))
    until(lambda: not errors_of(disrupted))


def test_half_a_file_and_no_file_change_nothing(disrupted: Gateway, upstream: Upstream):
    whole = disrupted.file.read_text()
    disrupted.file.write_text(whole[: len(whole) // 2])
    half = until(lambda: errors_of(disrupted))
    assert status_of(disrupted, "/private") == 200

    disrupted.file.unlink()
    gone = until(lambda: errors_of(disrupted) != half and errors_of(disrupted))
    assert "there is no such file" in gone[0]
    assert status_of(disrupted, "/private") == 200

    disrupted.write(config(upstream, {"name": "new", "match": {"path": "/new"}, "upstream": "echo", "auth": "none"}))
    until(lambda: status_of(disrupted, "/new") == 200)
    until(lambda: errors_of(disrupted) == [])


def refused_without(gateway: Gateway, word: str, path: str) -> httpx.Response:
    """The answer while a killed process is missed: for certain, because its supervisor sleeps meanwhile."""
    os.kill(gateway.process.pid, signal.SIGSTOP)
    try:
        gateway.kill(word)
        with gateway.client(headers=BEARER) as client:
            return until(lambda: (answer := client.get(path)).status_code != 200 and answer)
    finally:
        os.kill(gateway.process.pid, signal.SIGCONT)


def test_a_killed_authorizer_refuses_and_comes_back_by_itself(disrupted: Gateway):
    before = disrupted.pid_of("authz_service")
    refused = refused_without(disrupted, "authz_service", "/private")

    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "authorization_unavailable"
    assert status_of(disrupted, "/public") == 200
    until(lambda: status_of(disrupted, "/private") == 200)
    assert disrupted.pid_of("authz_service") != before


@pytest.mark.parametrize("word", ["ratelimit_service", "valkey-server"])
def test_a_killed_limiter_or_store_refuses_and_comes_back_by_itself(disrupted: Gateway, word):
    refused = refused_without(disrupted, word, "/limited")

    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "limiter_unavailable"
    assert [status_of(disrupted, path) for path in ("/public", "/private")] == [200, 200]
    until(lambda: status_of(disrupted, "/limited") == 200)


def test_while_the_store_is_frozen_each_rule_says_what_becomes_of_its_calls(disrupted: Gateway, upstream: Upstream):
    """And as soon as it is thawed it counts on from where it was."""
    routes = (
        {"name": word, "match": {"path": f"/{word}"}, "upstream": "echo", "auth": "none",
         "limits": [{"requests": "3/hour", "per": "ip", "on_store_failure": word}]}
        for word in ("deny", "local", "allow")
    )  # fmt: skip
    disrupted.write(config(upstream, *routes))
    until(lambda: status_of(disrupted, "/allow") == 200)
    assert [status_of(disrupted, path) for path in ("/deny", "/local")] == [200, 200]
    store = disrupted.pid_of("valkey-server")
    os.kill(store, signal.SIGSTOP)
    try:
        seen = {word: [status_of(disrupted, f"/{word}") for _ in range(5)] for word in ("deny", "local", "allow")}
    finally:
        os.kill(store, signal.SIGCONT)

    assert seen == {"deny": [503] * 5, "local": [200] * 3 + [429] * 2, "allow": [200] * 5}
    until(lambda: status_of(disrupted, "/deny") != 503)
    until(lambda: status_of(disrupted, "/deny") == 429)


def test_traffic_goes_on_without_a_control_plane_and_an_edit_applies_when_it_is_back(
    disrupted: Gateway, upstream: Upstream
):
    killed = disrupted.kill("control_plane")
    new = {"name": "new", "match": {"path": "/new"}, "upstream": "echo", "auth": ["bearer"]}
    disrupted.write(config(upstream, new))
    with load(disrupted, "/private", "/public", "/limited") as outcomes:
        until(lambda: status_of(disrupted, "/new") == 200)

    assert set(outcomes) == {200}, outcomes
    assert disrupted.pid_of("control_plane") != killed


def test_killed_services_start_from_their_last_good_policies(disrupted: Gateway):
    """With the control plane away as well: a stopped one is no reason to refuse."""
    control_plane = disrupted.pid_of("control_plane")
    os.kill(control_plane, signal.SIGSTOP)
    try:
        for word in ("authz_service", "ratelimit_service"):
            disrupted.kill(word)
        until(lambda: (status_of(disrupted, "/private"), status_of(disrupted, "/limited")) == (200, 200))
    finally:
        os.kill(control_plane, signal.SIGCONT)


def test_a_jwks_file_is_followed(upstream: Upstream, tmp_path):
    """A key that is added to the file is accepted without an edit of the configuration."""
    keys = {kid: ec.generate_private_key(ec.SECP256R1()) for kid in ("old", "new")}

    def jwks(*kids: str) -> str:
        public = [
            jwt.algorithms.ECAlgorithm.to_jwk(keys[kid].public_key(), as_dict=True) | {"kid": kid} for kid in kids
        ]
        return json.dumps({"keys": public})

    def token(kid: str) -> str:
        now = int(time.time())
        claims = {"iss": "https://i.example", "aud": "gateway", "sub": "alice", "iat": now, "exp": now + 300}
        return jwt.encode(claims, keys[kid], "ES256", headers={"kid": kid})

    def status(gateway: Gateway, kid: str) -> int:
        headers = {"authorization": f"Bearer {token(kid)}"}
        return httpx.get(f"{gateway.url}/private", headers=headers, trust_env=False, verify=False).status_code

    file = tmp_path / "jwks.json"
    file.write_text(jwks("old"))
    issuer = {
        "name": "accounts", "issuer": "https://i.example", "audiences": ["gateway"], "algorithms": ["ES256"],
        "keys": {"file": str(file)},
    }  # fmt: skip
    route = {"name": "private", "match": {"path": "/private"}, "upstream": "echo", "auth": ["jwt"]}
    with running_gateway(
        {"identity": {"jwt": [issuer]}, "upstreams": {"echo": {"url": upstream.url}}, "routes": [route]}
    ) as gateway:
        assert (status(gateway, "old"), status(gateway, "new")) == (200, 401)
        file.write_text(jwks("new"))
        until(lambda: (status(gateway, "old"), status(gateway, "new")) == (401, 200))
