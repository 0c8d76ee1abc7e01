"""Every operation that changes something is one event: who, from where, what, how it ended; and no secret in any."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from control_plane.admin.authors import by_context
from control_plane.admin.calls import Served
from control_plane.admin.http import operations_routes
from control_plane.admin.identities import CALLS as IDENTITIES
from control_plane.admin.identities import identities_routes, identities_rpc
from control_plane.admin.quotas import CALLS as QUOTAS
from control_plane.admin.quotas import quotas_routes
from control_plane.history.entries import CannotRollBack
from control_plane.operations.identities import SERVICE
from control_plane.operations.quotas import CallerSpec, LimiterAway, NoSuchQuota, QuotasReport, QuotaState
from service_kit.audit import By, line
from service_kit.endpoint import unix_endpoint
from service_kit.serve import server_port
from tests.support.audit import Kept, audit_trail
from tests.support.certificates import Authority
from tests.support.clock import StillClock
from tests.support.operations import TOKEN, StandIn
from tests.support.stored import stored_in
from tollgate_pb.tollgate.admin.v1 import keys_pb2 as keys_pb

BEARER = {"authorization": f"Bearer {TOKEN}"}
FROM = "http 127.0.0.1:123"  # what httpx says of itself
READS = {"ListKeys", "ListConsumers", "ListQuotas"}


@dataclass
class Quotas:
    """Quota operations whose limiter is the test's."""

    error: Exception | None = None
    used: int = 90
    asked: list[str] = field(default_factory=list)

    async def quotas(self, _caller: CallerSpec, _usage: str) -> QuotasReport:
        if self.error is not None:
            raise self.error
        return QuotasReport((QuotaState("plan/free/1", "email", "month", used=self.used, limit=100),))

    async def grant(self, caller: CallerSpec, _quota: str, amount: int, by: str) -> QuotasReport:
        self.asked.append(f"grant {amount} to {caller.consumer} by {by}")
        return await self.quotas(caller, "")

    async def reset(self, caller: CallerSpec, _quota: str, by: str) -> QuotasReport:
        self.asked.append(f"reset {caller.consumer} by {by}")
        self.used = 0
        return await self.quotas(caller, "")


@dataclass
class World:
    app: Starlette
    http: httpx.AsyncClient
    kept: Kept
    operations: StandIn
    quotas: Quotas
    registry: CollectorRegistry
    shown: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        answer = await self.http.request(method, path, json=body)
        self.shown += [answer.json()[name] for name in ("key", "token") if isinstance(answer.json().get(name), str)]
        return answer


@asynccontextmanager
async def world(folder: Path, *, issues_tokens: bool = False) -> AsyncIterator[World]:
    kept, operations, quotas = Kept(), StandIn(), Quotas()
    trail = audit_trail(kept)
    async with stored_in(folder, StillClock(), issues_tokens=issues_tokens) as store:
        app = Starlette(
            routes=[
                *operations_routes(operations, lambda: TOKEN, trail),
                *identities_routes(Served(store.operations, lambda: TOKEN, trail)),
                *quotas_routes(Served(quotas, lambda: TOKEN, trail)),  # type: ignore[arg-type] # its three operations
            ]
        )
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin", headers=BEARER) as http:
            yield World(app, http, kept, operations, quotas, store.registry)


@pytest.mark.parametrize("call", [*IDENTITIES, *QUOTAS], ids=lambda call: call.name)
def test_what_is_no_question_has_an_action(call):
    assert (call.action == "") == (call.name in READS)


CONSUMER = ("POST", "/consumers", {"name": "acme", "plan": "small"})
KEY = ("POST", "/keys", {"consumer": "declared", "scopes": ["a"]})
GRANT = {"quota": "plan/free/1", "consumer": "acme"}


@pytest.mark.parametrize(
    ("before", "asked", "action", "named", "facts"),
    [
        pytest.param([], CONSUMER, "consumer.create", "consumer acme", (None, {"tenant": "", "plan": "small"}), id="c"),
        pytest.param(
            [CONSUMER], ("PATCH", "/consumers/acme", {"tenant": "t"}), "consumer.update", "consumer acme",
            ({"tenant": "", "plan": "small"}, {"tenant": "t", "plan": "small"}), id="consumer-update",
        ),
        pytest.param(
            [CONSUMER], ("DELETE", "/consumers/acme"), "consumer.delete", "consumer acme",
            ({"tenant": "", "plan": "small"}, {"revoked_keys": 0}), id="consumer-delete",
        ),
        pytest.param([], KEY, "key.create", "key {id}", (None, {"consumer": "declared", "scopes": ["a"]}), id="key"),
        pytest.param(
            [KEY], ("POST", "/keys/{id}/rotate", {"overlap": 5}), "key.rotate", "key {id}",
            (None, {"rotated_to": "{new}", "overlap": 5.0, "consumer": "declared", "scopes": ["a"]}), id="key-rotate",
        ),
        pytest.param(
            [KEY], ("POST", "/keys/{id}/revoke"), "key.revoke", "key {id}",
            (None, {"consumer": "declared", "revoked_at": 1_700_000_000, "revoked_by": "admin"}), id="key-revoke",
        ),
        pytest.param(
            [], ("POST", "/quotas/grant", {**GRANT, "amount": 7}), "quota.grant", "quota plan/free/1 of acme",
            (None, {"amount": 7, "caller": {"consumer": "acme"}, "quotas": [
                {"quota": "plan/free/1", "used": 90, "limit": 100, "granted": 0, "resets": 0}]}), id="quota-grant",
        ),
        pytest.param(
            [], ("POST", "/quotas/reset", GRANT), "quota.reset", "quota plan/free/1 of acme",
            ({"quotas": [{"quota": "plan/free/1", "used": 90, "limit": 100, "granted": 0, "resets": 0}]},
             {"caller": {"consumer": "acme"}, "quotas": [
                 {"quota": "plan/free/1", "used": 0, "limit": 100, "granted": 0, "resets": 0}]}), id="quota-reset",
        ),
        pytest.param(
            [], ("POST", "/rollback", {"number": 3}), "configuration.rolled_back", "entry 3",
            ({"digest": "3f9a", "number": 7}, {"digest": "77ab", "number": 3, "errors": 0}), id="rollback",
        ),
        pytest.param(
            [], ("POST", "/rollback", {"release": True}), "configuration.released", "configuration",
            ({"digest": "3f9a", "number": 7}, {"digest": "77ab", "number": 3, "errors": 0}), id="release",
        ),
    ],
)  # fmt: skip
async def test_an_operation_is_one_event(tmp_path, before, asked, action, named, facts):
    async with world(tmp_path) as found:
        names = {}
        for earlier in before:
            names = {"id": (await found.ask(*earlier)).json().get("id", "")}
        found.kept.events.clear()
        method, path, *body = asked
        answer = await found.ask(method, path.format(**names), *body)

        assert answer.status_code == 200, answer.text
        (event,) = found.kept.ended
        names = {"id": names.get("id") or answer.json().get("id", ""), "new": answer.json().get("id", "")}
        assert (event.actor, event.origin, event.action, event.result) == ("admin", FROM, action, "done")
        assert event.object == named.format(**names)
        wanted = {"{new}": names["new"]}
        new = {name: wanted.get(str(value), value) for name, value in facts[1].items()}
        assert (event.old, plain(event.new)) == (facts[0], new)
        lines = b"".join(map(line, found.kept.events))
        assert not [secret for secret in (*found.shown, TOKEN) if secret.encode() in lines]


async def test_tokens_and_what_signs_them_are_told_of_and_not_told(tmp_path):
    async with world(tmp_path, issues_tokens=True) as found:
        key = (await found.ask(*KEY)).json()
        minted = (await found.ask("POST", "/tokens", {"consumer": "declared"})).json()
        kid = (await found.ask("POST", "/signing-keys/replace")).json()["kid"]

        assert [(event.action, event.object, plain(event.new)) for event in found.kept.ended[1:]] == [
            ("token.mint", f"key {key['id']}", {"consumer": "declared", "scopes": ["a"], "expires": minted["expires"]}),
            ("signing_keys.replace", "signing keys", {"kid": kid}),
        ]
        lines = b"".join(map(line, found.kept.events))
        assert [secret.encode() in lines for secret in (key["key"], minted["token"])] == [False, False]


def plain(facts: Any) -> Any:
    """As it is read again."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()}


@pytest.mark.parametrize(
    ("asked", "action", "named", "result", "why"),
    [
        pytest.param(("POST", "/keys/nobody/revoke"), "key.revoke", "key nobody", "refused", "no stored key", id="key"),
        pytest.param(
            ("POST", "/consumers", {"name": "declared"}), "consumer.create", "consumer declared", "refused",
            "the configuration declares", id="consumer",
        ),
        pytest.param(("POST", "/tokens", {"consumer": "declared"}), "token.mint", "consumer declared", "refused",
                     "issues no tokens", id="token"),
        pytest.param(("POST", "/signing-keys/replace"), "signing_keys.replace", "signing keys", "refused",
                     "issues no tokens", id="signing-keys"),
        pytest.param(("POST", "/rollback", {"number": 9}), "configuration.rolled_back", "entry 9", "refused",
                     "it is gone", id="rollback"),
        pytest.param(("POST", "/quotas/grant", {**GRANT, "quota": "odd", "amount": 1}), "quota.grant",
                     "quota odd of acme", "refused", "no quota", id="quota"),
        pytest.param(("POST", "/quotas/reset", {**GRANT, "quota": "away"}), "quota.reset", "quota away of acme",
                     "failed", "does not answer", id="limiter-away"),
    ],
)  # fmt: skip
async def test_what_is_refused_is_one_event_too(tmp_path, asked, action, named, result, why):
    async with world(tmp_path) as found:
        found.operations.result = CannotRollBack("it is gone")
        found.quotas.error = LimiterAway("it does not answer") if result == "failed" else NoSuchQuota("no quota")
        answer = await found.ask(*asked)

        assert answer.status_code >= 400
        (event,) = found.kept.ended
        assert (event.actor, event.action, event.object, event.result) == ("admin", action, named, result)
        assert why in event.why


async def test_questions_and_who_has_no_token_write_nothing(tmp_path):
    async with world(tmp_path) as found:
        for path in ("/keys", "/consumers", "/status", "/history", "/quotas?consumer=acme"):
            assert (await found.ask("GET", path)).status_code == 200
        found.http.headers["authorization"] = "Bearer wrong"
        assert (await found.ask(*CONSUMER)).status_code == 401

        assert found.kept.events == []


@pytest.mark.parametrize(
    "asked", [CONSUMER, KEY, ("POST", "/rollback", {"number": 3}), ("POST", "/quotas/reset", GRANT)]
)
async def test_nothing_is_changed_that_cannot_be_written_down(tmp_path, asked):
    async with world(tmp_path) as found:
        found.kept.full = True
        answer = await found.ask(*asked)

        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")
        assert (await found.ask("GET", "/keys")).json()["keys"] == []
        assert (found.operations.asked, found.quotas.asked) == ([], [])


async def test_who_watches_sees_what_was_not_begun(tmp_path):
    async with world(tmp_path) as found:
        found.kept.full = True
        await found.ask(*CONSUMER)

        labels = {"operation": "CreateConsumer", "result": "AuditUnavailable"}
        assert found.registry.get_sample_value("tollgate_identity_operations_total", labels) == 1


async def test_over_grpc_the_same_is_told(tmp_path):
    kept = Kept()
    async with stored_in(tmp_path, StillClock()) as store:
        at, server = unix_endpoint(tmp_path / "x.sock"), grpc.aio.server()
        server.add_generic_rpc_handlers((identities_rpc(Served(store.operations, lambda: TOKEN, audit_trail(kept))),))
        server_port(server, at, None)
        await server.start()
        async with grpc.aio.insecure_channel(at.grpc_target) as channel:
            rpc = channel.unary_unary(
                f"/{SERVICE}/CreateConsumer", request_serializer=keys_pb.ConsumerRequest.SerializeToString
            )
            metadata = (("authorization", f"Bearer {TOKEN}"),)
            await rpc(keys_pb.ConsumerRequest(name="acme"), metadata=metadata, timeout=10)
            kept.full = True
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await rpc(keys_pb.ConsumerRequest(name="other"), metadata=metadata, timeout=10)
        await server.stop(None)

    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "audit trail" in (refused.value.details() or "")
    (event,) = kept.ended
    assert (event.actor, event.origin, event.object, event.result) == ("admin", "grpc unix", "consumer acme", "done")


@pytest.mark.parametrize(
    ("at", "origin"),
    [
        pytest.param("ipv4:10.0.0.9:5", "grpc ipv4:10.0.0.9:5", id="ipv4"),
        pytest.param("ipv6:%5B::1%5D:5", "grpc ipv6:[::1]:5", id="ipv6"),
    ],
)
def test_where_a_call_came_from(at, origin):
    context = SimpleNamespace(peer=lambda: at, auth_context=dict)

    assert by_context(context) == By("admin", origin)  # type: ignore[arg-type] # what is asked of it


async def test_where_a_request_came_from(tmp_path):
    async with world(tmp_path) as found:
        transport = httpx.ASGITransport(found.app, client=("::1", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://admin", headers=BEARER) as http:
            await http.post("/keys/nobody/revoke")

        assert [event.origin for event in found.kept.ended] == ["http [::1]:5"]


def test_a_certificate_says_who_it_is():
    pem, _ = Authority().issue("spiffe://t/tollgate/admin")
    context = SimpleNamespace(peer=lambda: "ipv4:10.0.0.9:5", auth_context=lambda: {"x509_pem_cert": [pem.encode()]})

    assert by_context(context) == By("spiffe://t/tollgate/admin", "grpc ipv4:10.0.0.9:5")  # type: ignore[arg-type]
