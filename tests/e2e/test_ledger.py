"""The ledger of a whole gateway: every call once, told to operators and to callers, whatever is killed meanwhile."""

import csv
import io
import json
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import grpc
import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry

from service_kit.audit import AuditEvent, AuditFile
from service_kit.clock import SystemClock
from service_kit.endpoint import UnixEndpoint
from tests.support.eventually import eventually, until
from tests.support.gateway import Gateway, running_gateway
from tests.support.model import Model, running_model
from tests.support.upstream import Upstream, running_upstream
from usage_ledger.database import Database
from usage_ledger.drift import Drift
from usage_ledger.reader import Reader

ACME, OTHER = "a-bearer-token-of-acme-s", "a-bearer-token-of-another"
CONFIG = {
    "defaults": {"auth": ["bearer"]},
    "ledger": {"retention": "90d"},
    "identity": {
        "bearer_tokens": [
            {"name": "acme", "token": ACME, "subject": "a", "consumer": "acme"},
            {"name": "other", "token": OTHER, "subject": "o", "consumer": "other"},
        ]
    },
    "consumers": [{"name": "acme", "tenant": "t", "plan": "free"}, {"name": "other", "plan": "free"}],
    "plans": {
        "free": {
            "quotas": [
                {"usage": "requests", "amount": "10000/month"},
                {"usage": "tokens", "amount": "100000/month"},
                {"usage": "usd", "amount": "5.00/month"},
            ]
        }
    },
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with (
        running_upstream() as upstream,
        running_model() as model,
        running_gateway(config(upstream, model)) as running,
    ):
        yield running


def config(upstream: Upstream, model: Model) -> dict:
    prices = {"input": 0.5, "output": 1.5}
    routes = [
        {
            "name": "chat", "match": {"path": "/v1/chat/completions"}, "upstream": "model", "streaming": True,
            "tokens": {"most": 100, "price": prices},
        },
        {"name": "private", "match": {"path": "/private/*"}, "upstream": "echo"},
        {"name": "public", "match": {"path": "/*"}, "upstream": "echo", "auth": "none"},
    ]  # fmt: skip
    return {**CONFIG, "upstreams": {"echo": {"url": upstream.url}, "model": {"url": model.url}}, "routes": routes}


def get(gateway: Gateway, path: str, token: str | None = ACME, **headers: str):
    credential = {} if token is None else {"authorization": f"Bearer {token}"}
    with gateway.client() as client:
        return client.get(path, headers={**credential, **headers})


def kept(gateway: Gateway) -> Counter[str]:
    """How often each request id is in the ledger."""
    file = gateway.folder / "state" / "ledger.sqlite"
    if not file.exists():
        return Counter()
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
        return Counter(id_ for (id_,) in db.execute("SELECT request_id FROM tollgate_ledger_rows"))


def known(gateway: Gateway, answer) -> str:
    request_id = answer.headers["x-request-id"]
    until(lambda: kept(gateway)[request_id])
    return request_id


def tollgate(gateway: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tollgate_cli", *words, "--state-dir", str(gateway.folder / "state")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_operators_read_what_was_used(gateway):
    before = len(gateway.access_log())
    known(gateway, get(gateway, "/private/x"))
    wanted = [row for row in gateway.access_log() if (row["consumer"], row["route"]) == ("acme", "private")]

    assert len(gateway.access_log()) > before
    found = json.loads(tollgate(gateway, "usage", "--by", "consumer,route", "--consumer", "acme", "--json").stdout)
    (line,) = [line for line in found["usage"] if line["route"] == "private"]
    assert (line["calls"], line["failed"], line["usd"]) == (len(wanted), 0, "0.000000000")
    rows = list(csv.DictReader(io.StringIO(tollgate(gateway, "usage", "--by", "route", "--csv").stdout)))
    assert {row["route"] for row in rows} >= {"private"}


def test_what_nobody_can_tell_is_said(gateway):
    done = tollgate(gateway, "usage", "--by", "colour")

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


def test_a_consumer_reads_its_own_usage_alone(gateway):
    known(gateway, get(gateway, "/private/x"))
    known(gateway, get(gateway, "/private/x", OTHER))

    answer = get(gateway, "/v1/usage?by=route", OTHER, **{"x-tollgate-consumer": "acme"})
    body = answer.json()
    assert (answer.status_code, body["consumer"]) == (200, "other")
    assert [line["calls"] for line in body["usage"] if line["route"] == "private"] == [1]
    assert get(gateway, "/v1/usage", None).status_code == 401


def test_nothing_of_a_credential_or_a_query_is_kept(gateway):
    known(gateway, get(gateway, "/private/x?api_key=hunter2", cookie="session=hunter2"))

    for file in (gateway.folder / "state").glob("ledger.sqlite*"):
        assert not any(word in file.read_bytes() for word in (b"hunter2", ACME.encode()))


def test_strange_bytes_of_a_client_are_a_row_like_others(gateway):
    before = sum(kept(gateway).values())
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(b'GET /\xff\xfe"\\x HTTP/1.1\r\nhost: a\xffb\r\nuser-agent: \xff\r\nconnection: close\r\n\r\n')
        assert client.recv(64).startswith(b"HTTP/1.1 ")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(b"GET /ok HTTP/1.1\r\nhost: a\r\nuser-agent: \xff\r\nconnection: close\r\n\r\n")
        assert client.recv(64).startswith(b"HTTP/1.1 ")

    until(lambda: sum(kept(gateway).values()) >= before + 1)
    file = gateway.folder / "state" / "ledger.sqlite"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM tollgate_ledger_quarantine").fetchone() == (0,)


def test_a_ledger_that_is_killed_again_and_again_keeps_each_call_once(gateway):
    wanted = [get(gateway, "/private/x").headers["x-request-id"] for _ in range(5)]
    for _ in range(2):
        until(lambda: gateway_has(gateway, "usage_ledger"))
        gateway.kill("usage_ledger")
        wanted += [get(gateway, "/private/x").headers["x-request-id"] for _ in range(20)]

    until(lambda: kept(gateway).keys() >= set(wanted))
    found = kept(gateway)
    assert {request_id: found[request_id] for request_id in wanted} == dict.fromkeys(wanted, 1)
    done = tollgate(gateway, "usage", "verify")
    assert (done.returncode, "nothing is wrong" in done.stdout) == (0, True), done.stdout + done.stderr


def gateway_has(gateway: Gateway, word: str) -> bool:
    try:
        return bool(gateway.pid_of(word))
    except LookupError:
        return False


def test_an_end_that_was_kept_tells_what_was_cut_off(gateway, tmp_path):
    known(gateway, get(gateway, "/private/x"))
    ends = tollgate(gateway, "usage", "head").stdout
    last = json.loads(ends)
    (tmp_path / "ends").write_text(json.dumps({**last, "seq": last["seq"] + 1000}))

    done = tollgate(gateway, "usage", "verify", "--heads", str(tmp_path / "ends"))
    assert done.returncode == 3
    assert "removed" in done.stdout


async def test_counters_and_ledger_agree(gateway):
    get(gateway, "/private/x")
    get(gateway, "/v1/usage")
    get(gateway, "/public/x", None)
    for answer in ("json", "odd", "zipped", "failed", "silent events"):
        chat(gateway, answer, to_the_end=True)
    chat(gateway, "endless events", to_the_end=False)
    with pytest.raises(httpx.ReadTimeout):
        chat(gateway, "gated", to_the_end=True, timeout=1)

    state = gateway.folder / "state"
    limiter = UnixEndpoint(state / "run" / "ratelimit.sock")
    database = Database(f"sqlite://{state / 'ledger.sqlite'}", changes=False)
    drift = Drift(
        Reader(database), limiter, registry=CollectorRegistry(), clock=SystemClock(), log=structlog.get_logger()
    )

    async def agree() -> bool:
        async with grpc.aio.insecure_channel(limiter.grpc_target) as channel:
            compared = [item for item in await drift.compare(channel) if item.counted or item.ledger]
        same = all(item.counted == item.ledger for item in compared)
        return same and {item.usage for item in compared} == {"requests", "tokens", "usd"}

    await eventually(agree, within=20)
    database.close()


def chat(gateway: Gateway, answer: str, *, to_the_end: bool, timeout: float = 30) -> None:
    """A call to a language model that answers in this way."""
    headers = {"authorization": f"Bearer {ACME}", "x-answer": answer}
    body = {"model": "m", "messages": [], "stream": answer.endswith("events")}
    with (
        gateway.client(headers=headers) as client,
        client.stream("POST", "/v1/chat/completions", json=body, timeout=timeout) as stream,
    ):
        if to_the_end:
            stream.read()


def test_the_metrics_of_the_ledger_are_gathered(gateway):
    known(gateway, get(gateway, "/private/x"))
    text = httpx.get(f"{gateway.admin_url}/metrics", trust_env=False, verify=False).text
    assert 'tollgate_ledger_rows_total{kind="call",process="ledger"}' in text
    assert (gateway.folder / "state" / "ledger.sqlite").stat().st_mode & 0o077 == 0


def acts(gateway: Gateway) -> list[str]:
    """What was done, without the time that the command takes to begin."""
    with sqlite3.connect(f"file:{gateway.folder / 'state' / 'ledger.sqlite'}?mode=ro", uri=True) as db:
        return [action for (action,) in db.execute("SELECT action FROM tollgate_ledger_audit ORDER BY seq")]


def changed(gateway: Gateway, *words: str) -> list[dict]:
    done = tollgate(gateway, "audit", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_operators_read_who_changed_what(gateway):
    assert tollgate(gateway, "consumers", "create", "audited", "--plan", "free").returncode == 0
    key = tollgate(gateway, "keys", "create", "--consumer", "audited").stdout.strip()
    assert tollgate(gateway, "consumers", "delete", "nobody").returncode == 1
    until(lambda: "consumer.delete" in acts(gateway))

    began, *_ = changed(gateway, "--actor", "file")
    assert (began["action"], began["result"]) == ("configuration.accepted", "done")
    made, refused = changed(gateway, "--action", "consumer.*")
    assert (made["actor"], made["origin"], made["object"], made["result"], made["new"]) == (
        "admin", "grpc unix", "consumer audited", "done", {"tenant": "", "plan": "free"},
    )  # fmt: skip
    assert (refused["object"], refused["result"]) == ("consumer nobody", "refused")
    (issued,) = changed(gateway, "--action", "key.create")
    assert issued["object"].removeprefix("key ") in key
    assert "consumer.delete" in tollgate(gateway, "audit", "--result", "refused").stdout
    state = gateway.folder / "state"
    assert (state / "audit.jsonl").stat().st_mode & 0o777 == 0o600
    for file in (*state.glob("audit.*"), *state.glob("ledger.sqlite*")):
        assert key.encode() not in file.read_bytes()


def test_the_audit_trail_is_proved(gateway):
    done = tollgate(gateway, "audit", "verify")
    assert (done.returncode, "nothing is wrong" in done.stdout) == (0, True), done.stdout + done.stderr
    last = json.loads(tollgate(gateway, "audit", "head").stdout)
    assert last["seq"] == len(acts(gateway))


def test_a_control_plane_that_is_killed_leaves_no_act_without_its_end(gateway):
    before = len(acts(gateway))
    left = AuditEvent("left-open", 1_700_000_000.0, "admin", "grpc unix", "key.revoke", "key gone")
    AuditFile(gateway.folder / "state" / "audit.jsonl").append(left)
    gateway.kill("control_plane")
    until(lambda: len(acts(gateway)) == before + 2)

    (ended,) = changed(gateway, "--result", "unknown")
    assert (ended["id"], ended["object"], "ended before" in ended["why"]) == ("left-open", "key gone", True)
    assert acts(gateway)[-2:] == ["key.revoke", "configuration.accepted"]
