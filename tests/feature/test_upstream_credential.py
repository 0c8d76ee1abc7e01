"""A credential that Envoy has not got: the request is refused, and never sent without it."""

from pathlib import Path

import httpx

from control_plane.envoy_check import static_bootstrap
from tests.support.compiled import config, route, snapshots
from tests.support.envoy import static_envoy
from tests.support.ports import free_port
from tests.support.upstream import running_upstream


def test_a_request_is_not_sent_without_its_credential(tmp_path: Path) -> None:
    listening = free_port()
    with running_upstream() as upstream:
        credential = {"header": "x-api-key", "value": "k"}
        envoy, _ = snapshots(
            config(
                listeners={"public": {"address": f"127.0.0.1:{listening}"}},
                upstreams={"email": {"url": upstream.url, "health_check": "none", "credential": credential}},
                routes=[route()],
            )
        )
        bootstrap = static_bootstrap(envoy)
        bootstrap.static_resources.secrets[0].generic_secret.secret.inline_bytes = b""
        with static_envoy(bootstrap, tmp_path):
            answer = httpx.get(f"http://127.0.0.1:{listening}/email", headers={"x-api-key": "mine"}, trust_env=False)

    assert upstream.served == 0
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
