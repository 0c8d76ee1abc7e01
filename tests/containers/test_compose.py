"""The compose stack: up, used, edited while it runs, stopped with a request in progress, and up again."""

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.containers.stand_in import PASSED_ON, USAGE, WORDS
from tests.support.containers import ROOT, STAND_IN, docker, inspected, two_ports, unique
from tests.support.eventually import until

FOLDER = ROOT / "deploy" / "compose"
SERVICES = ("store", "control-plane", "authz", "ratelimit", "ledger", "translator", "envoy")
# What the configuration gets so that its clients may have API keys, and tokens for them.
KEYS_AND_TOKENS = {
    "identity:\n": "identity:\n  tokens: {issuer: https://gateway.example.com, audiences: [llm]}\n",
    "upstreams:\n": "consumers: [{name: acme}]\nupstreams:\n",
    "auth: [bearer]": "auth: [api_key, jwt]",
}
# What it gets so that its clients have a route whose tokens are counted, and a quota of them.
METERED = {
    "identity:\n": "plans: {metered: {quotas: [{usage: tokens, amount: 10000/month}]}}\nidentity:\n",
    '"${GATEWAY_BEARER_TOKEN}"': '"${GATEWAY_BEARER_TOKEN}", plan: metered',
    "discovery:": (
        "routes:\n"
        "- {name: chat, match: {path: /v2/chat/completions, methods: [POST]}, upstream: ollama, auth: [bearer],"
        " tokens: {most: 64, price: {input: 1, output: 2}}}\n"
        "discovery:"
    ),
}


class Stack:
    """One project of compose, on ports and with a configuration of its own."""

    def __init__(self, images: dict[str, str], token: str, configuration: Path) -> None:
        self.project = unique("compose")
        self.configuration = configuration / "gateway.yaml"
        gateway, admin = two_ports()
        self.url, self.admin = f"http://127.0.0.1:{gateway}", f"http://127.0.0.1:{admin}"
        self._environ = {
            "GATEWAY_BEARER_TOKEN": token,
            "OLLAMA_BASE_URL": "http://ollama:11434",
            "GATEWAY_PUBLISH": f"127.0.0.1:{gateway}",
            "OBSERVABILITY_PUBLISH": f"127.0.0.1:{admin}",
            "TOLLGATE_CONFIG": str(configuration),
            "STAND_IN": str(STAND_IN),
            "TOLLGATE_IMAGE": images["tollgate"],
            "TOLLGATE_ENVOY_IMAGE": images["tollgate-envoy"],
            "TOLLGATE_PYTHON_IMAGE": images["tollgate-python"],
        }

    def compose(self, *arguments: str, check: bool = True) -> str:
        files = ("--file", FOLDER / "compose.yaml", "--file", STAND_IN.with_name("stand_in.compose.yaml"))
        return docker("compose", "--project-name", self.project, *files, *arguments, check=check, environ=self._environ)

    def up(self, *options: str) -> None:
        self.compose("up", "--detach", "--wait", "--no-build", *options)

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def tollgate(self, *arguments: str, service: str = "control-plane") -> dict[str, Any]:
        """What a command of operators, in the control plane's container or the ledger's, answers."""
        answer: dict[str, Any] = json.loads(docker("exec", self.container(service), "tollgate", *arguments, "--json"))
        return answer

    def edit(self, changes: Mapping[str, str]) -> None:
        routes = self.configuration.read_text()
        for said, instead in changes.items():
            routes = routes.replace(said, instead)
        self.configuration.write_text(routes)


@pytest.fixture
def stack(images, token, tmp_path):
    tmp_path.chmod(0o755)
    configuration = tmp_path / "config"
    shutil.copytree(FOLDER / "config", configuration)
    running = Stack(images, token, configuration)
    try:
        running.up()
        yield running
    finally:
        running.compose("down", "--volumes", "--timeout", "5", check=False)


def status(url: str, headers: dict[str, str]) -> int:
    return httpx.get(url, headers=headers).status_code


def test_it_serves_follows_edits_and_stops_without_losing_a_request(stack, bearer):
    assert httpx.get(f"{stack.url}/v1/models").status_code == 401
    assert status(f"{stack.url}/v1/models", bearer) == 200
    assert httpx.get(f"{stack.admin}/readyz").status_code == 200

    routes = stack.configuration.read_text()
    stack.configuration.write_text(routes + PASSED_ON)
    until(lambda: status(f"{stack.url}/v2/models", bearer) == 200)
    stack.configuration.write_text(routes.replace("upstreams: [ollama]", "upstreams: [none]"))
    until(lambda: "configuration rejected" in stack.compose("logs", "control-plane"))
    assert status(f"{stack.url}/v2/models", bearer) == 200

    with (
        httpx.stream("GET", f"{stack.url}/v2/slow", headers=bearer, timeout=60) as answer,
        ThreadPoolExecutor() as pool,
    ):
        words = answer.iter_lines()
        first = next(words)
        stopping = pool.submit(stack.compose, "stop", *SERVICES)
        assert (answer.status_code, [first, *words]) == (200, [str(number) for number in range(WORDS)])
        stopping.result()
    for service in SERVICES:
        assert inspected(stack.container(service))["State"]["ExitCode"] == 0, service


class Chats:
    """Calls of the metered route, and the ids of those that were answered."""

    def __init__(self, stack: Stack, headers: Mapping[str, str]) -> None:
        self._stack = stack
        self._headers = headers
        self.answered: set[str] = set()

    def call(self) -> bool:
        url, body = f"{self._stack.url}/v2/chat/completions", {"model": "m", "messages": []}
        try:
            answer = httpx.post(url, json=body, headers=self._headers)
        except httpx.TransportError:  # Envoy is what was killed
            return False
        if answer.status_code == 200:
            self.answered.add(answer.headers["x-request-id"])
        return answer.status_code == 200

    @property
    def tokens(self) -> int:
        return len(self.answered) * USAGE["total_tokens"]

    def are_counted(self) -> bool:
        asked = ("tollgate", "quota", "list", "--consumer", "default", "--plan", "metered", "--json")
        listed = docker("exec", self._stack.container("control-plane"), *asked, check=False)
        if not listed.startswith("{"):  # it was killed a moment ago
            return False
        (quota,) = json.loads(listed)["quotas"]
        return (quota["used"], quota["held"]) == (self.tokens, 0)

    def are_in_the_ledger(self) -> bool:
        usage = self._stack.tollgate("usage", "--by", "route,model", "--only", "route=chat", service="ledger")["usage"]
        return sum(line["tokens_in"] + line["tokens_out"] for line in usage) == self.tokens


def test_no_count_and_no_row_is_lost_whatever_is_killed(stack, bearer):
    stack.edit(METERED)
    chats = Chats(stack, bearer)
    until(chats.call)

    for service in SERVICES:
        assert chats.call()
        until(chats.are_counted)  # an end that nobody has heard of yet would be charged as it was held
        docker("kill", stack.container(service))
        docker("start", stack.container(service))
        until(chats.call)
    stack.compose("restart", *SERVICES)

    until(chats.call, seconds=60)
    until(chats.are_counted)
    until(chats.are_in_the_ledger)
    ledger = stack.container("ledger")
    assert "nothing is wrong" in docker("exec", ledger, "tollgate", "usage", "verify")
    assert "access.log" in docker("exec", ledger, "ls", "/var/log/tollgate").split()
    printed = docker("logs", ledger)
    assert [id_ for id_ in chats.answered if id_ not in printed] == []


def test_keys_their_tokens_and_the_history_outlive_the_containers(stack):
    stack.edit(KEYS_AND_TOKENS)
    until(lambda: httpx.get(f"{stack.url}/.well-known/jwks.json").status_code == 200)
    made = stack.tollgate("keys", "create", "--consumer", "acme")
    form = {"grant_type": "client_credentials"}
    issued = httpx.post(f"{stack.url}/oauth/token", auth=(made["id"], made["key"]), data=form).json()
    credentials = ({"x-api-key": made["key"]}, {"authorization": f"Bearer {issued['access_token']}"})

    def opens() -> list[int]:
        return [status(f"{stack.url}/v1/models", each) for each in credentials]

    assert opens() == [200, 200]
    entries = stack.tollgate("history")["entries"]

    stack.up("--force-recreate", "control-plane", "authz")
    until(lambda: opens() == [200, 200])
    assert [entry["digest"] for entry in stack.tollgate("history")["entries"]] == [each["digest"] for each in entries]
    stack.tollgate("keys", "revoke", made["id"])
    until(lambda: opens() == [401, 401])
    until(lambda: "key.revoke" in docker("exec", stack.container("ledger"), "tollgate", "audit"))


def test_every_container_gives_up_what_it_does_not_need(stack):
    for service in SERVICES:
        about = inspected(stack.container(service))
        assert about["HostConfig"]["ReadonlyRootfs"], service
        assert about["HostConfig"]["CapDrop"] == ["ALL"], service
        assert about["Config"]["User"] == "10001:10001", service
        assert about["HostConfig"]["Memory"] > 0, service
    assert "lo:" in docker("exec", stack.container("authz"), "cat", "/proc/net/dev")
    assert "eth0:" not in docker("exec", stack.container("authz"), "cat", "/proc/net/dev")
