"""API keys and consumers of a running gateway, by the commands and by HTTP, and what clients then may."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import Upstream
from tollgate_cli.main import app

FINE, FAILED, WRONG = 0, 1, 2
KEY = re.compile("tgk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


def content(upstream: Upstream, *more: str) -> dict[str, Any]:
    return {
        "identity": {"api_keys": {}},
        "plans": {"small": {"limits": [{"requests": "2/hour"}]}},
        "consumers": [{"name": "declared", "tenant": "acme"}],
        "upstreams": {"echo": {"url": upstream.url}},
        "routes": [
            {"name": name, "match": {"path": f"/{name}"}, "upstream": "echo", "auth": ["api_key"]}
            for name in ("open", *more)
        ]
        + [{"name": "scoped", "match": {"path": "/scoped"}, "upstream": "echo", "auth": ["api_key"],
            "require": {"scopes": ["email.send"]}}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def gateway(upstream: Upstream) -> Iterator[Gateway]:
    with running_gateway(content(upstream)) as found:
        yield found


def tollgate(gateway: Gateway, *arguments: str, stdin: str = "") -> Result:
    """A command in this process: there are many, and each would import for a second."""
    place = ("--state-dir", str(gateway.folder / "state"))
    return CliRunner().invoke(app, [*arguments, *place], input=stdin, env={"COLUMNS": "200"})


def data(gateway: Gateway, *arguments: str) -> Any:
    done = tollgate(gateway, *arguments, "--json")
    assert done.exit_code == FINE, done.stderr
    return json.loads(done.stdout)


def told(answer: httpx.Response) -> dict[str, str]:
    """The headers that the upstream was sent."""
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["headers"])


def call(gateway: Gateway, key: str, path: str = "open", **headers: str) -> httpx.Response:
    return httpx.get(
        f"{gateway.url}/{path}", headers={"x-api-key": key, **headers}, trust_env=False, verify=False, timeout=10
    )


def status_with(gateway: Gateway, key: str, path: str = "open") -> int:
    return call(gateway, key, path).status_code


@pytest.fixture
def consumer(gateway: Gateway) -> Iterator[str]:
    """A stored consumer of the test's own, deleted when it ends."""
    name = f"app-{time.monotonic_ns()}"
    data(gateway, "consumers", "create", name, "--tenant", "acme")
    yield name
    tollgate(gateway, "consumers", "delete", name)


def metric(gateway: Gateway, name: str, **labels: str) -> float:
    """The sum over the processes of what is counted under these labels."""
    text = httpx.get(f"{gateway.admin_url}/metrics", trust_env=False, verify=False).text
    lines = (line for line in text.splitlines() if line.startswith(f"{name}{{"))
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(item in line for item in wanted))


def test_a_key_is_made_used_and_revoked(gateway: Gateway, consumer: str) -> None:
    made = tollgate(gateway, "keys", "create", "--consumer", consumer, "--scope", "email.send")
    key = made.stdout.strip()
    key_id = key.split("_")[1]
    before = metric(gateway, "tollgate_identity_change_seconds_count", change="removed")

    assert (made.exit_code, bool(KEY.fullmatch(key))) == (FINE, True)
    assert "shown this once" in made.stderr
    answer = call(gateway, key)  # it was said to be everywhere
    assert (told(answer)["x-tollgate-consumer"], told(answer)["x-tollgate-key-id"]) == (consumer, key_id)
    assert key not in answer.text
    assert status_with(gateway, key, "scoped") == 200
    assert httpx.get(
        f"{gateway.url}/open", headers={"authorization": f"Bearer {key}"}, trust_env=False
    ).status_code == 200  # fmt: skip

    revoked = tollgate(gateway, "keys", "revoke", key_id)
    assert (revoked.exit_code, revoked.stderr) == (FINE, "")
    refused = call(gateway, key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unknown_api_key")
    until(lambda: metric(gateway, "tollgate_identity_change_seconds_count", change="removed") > before)
    listed = data(gateway, "keys", "list", "--consumer", consumer)["keys"]
    assert [(item["id"], item["state"]) for item in listed] == [(key_id, "revoked")]
    assert key not in tollgate(gateway, "keys", "list").stdout


@contextmanager
def another_authorizer(gateway: Gateway, folder: Path) -> Iterator[None]:
    """One more beside the gateway's own, as in a fleet."""
    run = gateway.folder / "state" / "run"
    command = [sys.executable, "-m", "authz_service", "--control-plane", f"unix:{run / 'xds.sock'}",
               "--listen", f"unix:{run / folder.name}.sock", "--state-dir", str(folder)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_what_a_revocation_takes_to_reach_three_services_is_measured(
    gateway: Gateway, consumer: str, tmp_path: Path
) -> None:
    def services() -> int:
        nodes = [node for node in gateway.status()["nodes"] if node["node"].startswith("authz")]
        return sum(node["converged"] for node in nodes)

    with another_authorizer(gateway, tmp_path / "a2"), another_authorizer(gateway, tmp_path / "a3"):
        until(lambda: services() == 3)
        before = metric(gateway, "tollgate_identity_change_seconds_count", change="removed")
        made = data(gateway, "keys", "create", "--consumer", consumer)
        revoked = data(gateway, "keys", "revoke", made["id"])

        assert [item["told"]["services"] for item in (made, revoked)] == [3, 3]
        until(lambda: metric(gateway, "tollgate_identity_change_seconds_count", change="removed") == before + 1)
    until(lambda: services() == 1)


def test_no_key_is_in_a_log_or_on_the_disk(gateway: Gateway, consumer: str) -> None:
    key = data(gateway, "keys", "create", "--consumer", consumer)["key"]
    assert status_with(gateway, key) == 200

    kept = [file for file in gateway.folder.rglob("*") if file.is_file()]
    assert kept
    assert not [str(file) for file in kept if key.encode() in file.read_bytes()]


def test_a_rotated_key_works_beside_the_new_one_until_its_overlap_ends(gateway: Gateway, consumer: str) -> None:
    old = data(gateway, "keys", "create", "--consumer", consumer)
    new = data(gateway, "keys", "rotate", old["id"], "--overlap", "1h")
    assert [status_with(gateway, item["key"]) for item in (old, new)] == [200, 200]

    newest = data(gateway, "keys", "rotate", new["id"], "--overlap", "0s")
    assert [status_with(gateway, item["key"]) for item in (old, new, newest)] == [200, 401, 200]
    listed = {item["id"]: item for item in data(gateway, "keys", "list", "--consumer", consumer)["keys"]}
    assert (listed[old["id"]]["rotated_to"], listed[new["id"]]["rotated_to"]) == (new["id"], newest["id"])


def test_a_key_of_a_declared_consumer_has_its_tenant(gateway: Gateway) -> None:
    made = data(gateway, "keys", "create", "--consumer", "declared", "--plan", "small")

    answers = [call(gateway, made["key"]) for _ in range(3)]
    assert told(answers[0])["x-tollgate-tenant"] == "acme"
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    data(gateway, "keys", "revoke", made["id"])


def test_a_consumer_is_changed_and_goes_with_its_keys(gateway: Gateway) -> None:
    data(gateway, "consumers", "create", "shop", "--tenant", "one")
    key = data(gateway, "keys", "create", "--consumer", "shop")["key"]
    changed = data(gateway, "consumers", "update", "shop", "--tenant", "two")
    assert changed["details"]["tenant"] == "two"
    assert told(call(gateway, key))["x-tollgate-tenant"] == "two"
    assert "shop" in tollgate(gateway, "consumers", "list").stdout

    assert data(gateway, "consumers", "delete", "shop")["revoked"] == 1
    assert status_with(gateway, key) == 401


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        pytest.param(("keys", "create", "--consumer", "nobody"), FAILED, "no consumer 'nobody'", id="no consumer"),
        pytest.param(("keys", "create", "--consumer", "declared", "--plan", "x"), FAILED, "no plan 'x'", id="no plan"),
        pytest.param(
            ("keys", "create", "--consumer", "declared", "--allow-ip", "10.0.0"), FAILED, "allow_ips", id="address"
        ),
        pytest.param(("keys", "create", "--consumer", "declared", "--expires", "soon"), WRONG, "--expires", id="time"),
        pytest.param(("keys", "revoke", "000000000000"), FAILED, "no stored key", id="no key"),
        pytest.param(("consumers", "create", "declared"), FAILED, "declares a consumer", id="declared"),
        pytest.param(("consumers", "delete", "declared"), FAILED, "no stored consumer", id="not stored"),
        pytest.param(("consumers", "update", "declared"), WRONG, "--tenant", id="nothing to change"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_cure(
    gateway: Gateway, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    done = tollgate(gateway, *arguments)

    assert (done.exit_code, done.stdout) == (code, "")
    assert complaint in done.stderr


def test_the_same_by_http(gateway: Gateway) -> None:
    with httpx.Client(base_url=gateway.admin_url, trust_env=False, verify=False) as anybody:
        assert anybody.get("/keys").status_code == 401
        assert anybody.post("/keys", json={"consumer": "declared"}).status_code == 401
    headers = {"authorization": f"Bearer {gateway.admin_token()}"}
    with httpx.Client(base_url=gateway.admin_url, headers=headers, trust_env=False, verify=False) as http:
        assert http.post("/consumers", json={"name": "web"}).json()["details"]["name"] == "web"
        made = http.post("/keys", json={"consumer": "web", "scopes": ["email.send"]}).json()
        assert status_with(gateway, made["key"], "scoped") == 200
        assert http.get("/keys", params={"consumer": "web", "limit": 1}).json()["more"] == made["id"]
        rotated = http.post(f"/keys/{made['id']}/rotate", json={"overlap": 60}).json()
        assert http.post(f"/keys/{rotated['id']}/revoke").json()["details"]["state"] == "revoked"
        assert [status_with(gateway, item["key"]) for item in (made, rotated)] == [200, 401]
        assert http.patch("/consumers/web", json={"tenant": "t"}).json()["details"]["tenant"] == "t"
        assert http.delete("/consumers/web").json()["revoked"] == 1

        refused = [
            http.post("/keys", json={"consumer": "web"}), http.post("/keys", json={"consumers": "web"}),
            http.post("/keys", content=b"[]"), http.post("/consumers", json={"name": "declared"}),
            http.post("/keys", json={"consumer": "declared", "scopes": ["a b"]}),
        ]  # fmt: skip
        assert [answer.status_code for answer in refused] == [404, 400, 400, 409, 400]


def test_keys_work_while_a_change_of_the_configuration_is_not_good(
    gateway: Gateway, upstream: Upstream, consumer: str
) -> None:
    gateway.write(content(upstream) | {"routes": "none"})
    until(lambda: gateway.status()["configuration"]["errors"])

    made = data(gateway, "keys", "create", "--consumer", consumer)
    assert status_with(gateway, made["key"]) == 200
    data(gateway, "keys", "revoke", made["id"])
    assert status_with(gateway, made["key"]) == 401

    gateway.write(content(upstream))
    until(lambda: not gateway.status()["configuration"]["errors"])


def test_status_shows_what_services_run_of_it(gateway: Gateway) -> None:
    report = gateway.status()
    (authz,) = [node for node in report["nodes"] if node["node"].startswith("authz")]

    types = {name.rpartition(".")[2]: held for name, held in authz["types"].items()}
    assert types.keys() >= {"AuthzPolicy", "ApiKey", "Consumer", "SigningKeys"}
    assert types["ApiKey"]["acked"]
    assert report["identities"]["store"].endswith("users.sqlite")
    assert "ApiKey" in tollgate(gateway, "status").stdout


def test_a_clash_of_names_is_a_mistake_of_the_configuration(
    gateway: Gateway, upstream: Upstream, consumer: str
) -> None:
    clashing = content(upstream)
    clashing["consumers"].append({"name": consumer})
    gateway.write(clashing)
    (error,) = until(lambda: gateway.status()["configuration"]["errors"])

    assert f"{gateway.file}:" in error
    assert f"a consumer '{consumer}' was made at run time" in error
    gateway.write(content(upstream))
    until(lambda: not gateway.status()["configuration"]["errors"])


def test_when_a_key_was_last_used_is_known_after_a_while(gateway: Gateway, consumer: str) -> None:
    made = data(gateway, "keys", "create", "--consumer", consumer)
    assert status_with(gateway, made["key"]) == 200

    def last_used() -> int:
        return data(gateway, "keys", "list", "--consumer", consumer)["keys"][-1]["last_used"]

    until(lambda: last_used() >= made["details"]["created_at"], seconds=40)


def test_keys_outlive_their_database_and_the_control_plane(upstream: Upstream) -> None:
    """What services know they know, though the database is gone, and though they start anew without anybody."""
    with running_gateway(content(upstream)) as gateway:
        made = data(gateway, "keys", "create", "--consumer", "declared")
        gone = data(gateway, "keys", "create", "--consumer", "declared")
        data(gateway, "keys", "revoke", gone["id"])
        database = gateway.folder / "state" / "users.sqlite"
        for file in database.parent.glob("users.sqlite*"):
            file.unlink()
        database.mkdir()  # and it cannot be made again

        assert [status_with(gateway, item["key"]) for item in (made, gone)] == [200, 401]
        refused = tollgate(gateway, "keys", "create", "--consumer", "declared")
        assert (refused.exit_code, refused.stdout) == (FAILED, "")
        assert str(database) in refused.stderr

        gateway.kill("control_plane")
        until(lambda: _restarted(gateway))
        gateway.kill("authz_service")
        until(lambda: status_with(gateway, made["key"]) == 200)
        assert status_with(gateway, gone["key"]) == 401
        until(lambda: any("users.sqlite" in problem for problem in gateway.status()["problems"]))


def _restarted(gateway: Gateway) -> bool:
    try:
        return bool(gateway.status()["nodes"])
    except httpx.TransportError:
        return False


def test_a_declared_key_is_made_without_a_gateway(upstream: Upstream, tmp_path: Path) -> None:
    """Its hash goes into the configuration; the pepper is that of the state directory."""
    with running_gateway(content(upstream)) as gateway:
        made = data(gateway, "keys", "hash")
        again = tollgate(gateway, "keys", "hash", "--stdin", stdin=made["key"])
        assert again.stdout == f'- {{id: {made["id"]}, hash: "{made["hash"]}"}}\n'
        declaring = content(upstream)
        declaring["consumers"][0]["keys"] = [{"id": made["id"], "hash": made["hash"]}]
        gateway.write(declaring)

        until(lambda: status_with(gateway, made["key"]) == 200)
        wrong = tollgate(gateway, "keys", "hash", "--stdin", stdin=made["key"][:-1])
        assert (wrong.exit_code, wrong.stdout) == (WRONG, "")
