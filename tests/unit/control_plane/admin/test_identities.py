"""Stored keys and consumers over gRPC and HTTP, on a real store: who may ask, what is answered, how it is refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import json_format
from starlette.applications import Starlette

from control_plane.admin.calls import LARGEST_BODY, Served
from control_plane.admin.identities import CALLS, identities_routes, identities_rpc
from control_plane.operations.identities import SERVICE
from service_kit.endpoint import unix_endpoint
from service_kit.serve import server_port
from tests.support.audit import audit_trail
from tests.support.clock import StillClock
from tests.support.operations import TOKEN
from tests.support.stored import Store, stored_in

BEARER = (("authorization", f"Bearer {TOKEN}"),)
BY_NAME = {call.name: call for call in CALLS}


class Caller:
    """Calls over gRPC, with JSON in and out."""

    def __init__(self, channel: grpc.aio.Channel, store: Store) -> None:
        self.store = store
        self._channel = channel

    async def __call__(self, name: str, metadata: Any = BEARER, /, **fields: Any) -> dict[str, Any]:
        call = BY_NAME[name]
        rpc = self._channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=call.request.SerializeToString,
            response_deserializer=call.response.FromString,
        )
        answer = await rpc(json_format.ParseDict(fields, call.request()), metadata=metadata, timeout=10)
        return json_format.MessageToDict(answer, preserving_proto_field_name=True)

    async def noise(self, metadata: Any) -> grpc.StatusCode:
        """What is said to bytes that are no message."""
        rpc = self._channel.unary_unary(f"/{SERVICE}/CreateKey")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc(b"\xff", metadata=metadata, timeout=10)
        return refused.value.code()

    async def refused(self, name: str, /, **fields: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self(name, **fields)
        return refused.value.code(), refused.value.details() or ""

    def counted(self, operation: str, result: str) -> float | None:
        labels = {"operation": operation, "result": result}
        return self.store.registry.get_sample_value("tollgate_identity_operations_total", labels)


@asynccontextmanager
async def caller(folder: Path) -> AsyncIterator[Caller]:
    async with stored_in(folder, StillClock()) as store:
        at, server = unix_endpoint(folder / "x.sock"), grpc.aio.server()
        server.add_generic_rpc_handlers((identities_rpc(Served(store.operations, lambda: TOKEN, audit_trail())),))
        server_port(server, at, None)
        await server.start()
        try:
            async with grpc.aio.insecure_channel(at.grpc_target) as channel:
                yield Caller(channel, store)
        finally:
            await server.stop(None)


@asynccontextmanager
async def browser(folder: Path, token: str = TOKEN) -> AsyncIterator[httpx.AsyncClient]:
    async with stored_in(folder, StillClock()) as store:
        app = Starlette(routes=list(identities_routes(Served(store.operations, lambda: TOKEN, audit_trail()))))
        headers = {"authorization": f"Bearer {token}"}
        yield httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin", headers=headers)


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),)], ids=["none", "wrong"])
async def test_every_call_wants_the_token(tmp_path: Path, name: str, metadata: Any) -> None:
    """Over a Unix socket too: the authorizer is at the other end of one."""
    async with caller(tmp_path) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(name, metadata)
        assert call.store.registry.get_sample_value("tollgate_identities", {"kind": "consumers"}) == 0

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_noise_is_read_behind_the_token(tmp_path: Path) -> None:
    async with caller(tmp_path) as call:
        assert await call.noise(()) is grpc.StatusCode.UNAUTHENTICATED
        assert await call.noise(BEARER) is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
async def test_every_route_wants_the_token(tmp_path: Path, call: Any) -> None:
    method, path = call.http
    async with browser(tmp_path, "wrong") as http:
        response = await http.request(method, path.replace("{", "").replace("}", ""))

    assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized")


async def test_a_key_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    async with caller(tmp_path) as call:
        await call("CreateConsumer", name="shop", tenant="acme", plan="small")
        made = await call(
            "CreateKey",
            consumer="shop",
            scopes=["b", "a"],
            roles=["r"],
            allow_ips=["10.0.0.1"],
            expires=2_000_000_000,
            models=["mistral", "a*"],
        )
        (listed,) = (await call("ListKeys"))["keys"]
        rotated = await call("RotateKey", id=made["id"], overlap=60)
        revoked = await call("RevokeKey", id=rotated["id"])

        assert made["key"].startswith(f"tgk_{made['id']}_")
        assert listed == made["details"]
        assert (listed["scopes"], listed["roles"], listed["state"]) == (["a", "b"], ["r"], "active")
        assert (listed["allow_ips"], listed["created_by"]) == (["10.0.0.1/32"], "admin")
        assert listed["models"] == ["a*", "mistral"]
        assert (revoked["details"]["state"], revoked["details"]["revoked_by"]) == ("revoked", "admin")
        assert made["key"] not in str(await call("ListKeys"))
        assert call.counted("CreateKey", "done") == 1


async def test_pages(tmp_path: Path) -> None:
    async with caller(tmp_path) as call:
        for name in ("a", "b", "c"):
            await call("CreateConsumer", name=name)
        first = await call("ListConsumers", limit=2)
        second = await call("ListConsumers", limit=2, after=first["more"])

        assert [item["name"] for item in first["consumers"]] == ["a", "b"]
        assert [item["name"] for item in second["consumers"]] == ["c"]
        assert "more" not in second


async def test_two_who_change_a_consumer_at_once_both_do(tmp_path: Path) -> None:
    async with caller(tmp_path) as call:
        await call("CreateConsumer", name="shop")
        await asyncio.gather(
            call("UpdateConsumer", name="shop", tenant="acme"), call("UpdateConsumer", name="shop", plan="small")
        )
        (listed,) = (await call("ListConsumers"))["consumers"]

    assert (listed["tenant"], listed["plan"]) == ("acme", "small")


async def test_a_consumer_is_changed_in_what_is_named(tmp_path: Path) -> None:
    async with caller(tmp_path) as call:
        await call("CreateConsumer", name="shop", tenant="acme", plan="small")
        of_tenant = await call("UpdateConsumer", name="shop", tenant="other")
        without = await call("UpdateConsumer", name="shop", plan="")
        await call("CreateKey", consumer="shop")
        gone = await call("DeleteConsumer", name="shop")

        assert (of_tenant["details"]["tenant"], of_tenant["details"]["plan"]) == ("other", "small")
        assert (without["details"]["tenant"], "plan" in without["details"]) == ("other", False)
        assert (gone["name"], gone["revoked"]) == ("shop", 1)


@pytest.mark.parametrize(
    ("name", "fields", "code", "says"),
    [
        pytest.param("CreateKey", {"consumer": "x"}, grpc.StatusCode.NOT_FOUND, "'x'", id="consumer"),
        pytest.param(
            "CreateKey", {"consumer": "declared", "scopes": ["a b"]}, grpc.StatusCode.INVALID_ARGUMENT, "scopes",
            id="scope",
        ),
        pytest.param(
            "CreateKey", {"consumer": "declared", "models": ["a*b"]}, grpc.StatusCode.INVALID_ARGUMENT,
            "'a*b' is no pattern of models", id="a star in the middle",
        ),
        pytest.param(
            "CreateKey", {"consumer": "declared", "models": ["a", "*b*"]}, grpc.StatusCode.INVALID_ARGUMENT,
            "write one `*`, first or last", id="two stars",
        ),
        pytest.param(
            "CreateKey", {"consumer": "declared", "models": [f"{n:0>60}*" for n in range(34)]},
            grpc.StatusCode.INVALID_ARGUMENT, "models: the list is longer than 2048 bytes", id="many models",
        ),
        pytest.param(
            "CreateKey", {"consumer": "declared", "expires": 5}, grpc.StatusCode.INVALID_ARGUMENT, "expires", id="past"
        ),
        pytest.param("RevokeKey", {"id": "nobody"}, grpc.StatusCode.NOT_FOUND, "'nobody'", id="key"),
        pytest.param(
            "CreateConsumer", {"name": "declared"}, grpc.StatusCode.FAILED_PRECONDITION, "declares", id="declared"
        ),
        pytest.param("UpdateConsumer", {"name": "x", "plan": ""}, grpc.StatusCode.NOT_FOUND, "'x'", id="update"),
    ],
)  # fmt: skip
async def test_a_refusal_has_its_reason(
    tmp_path: Path, name: str, fields: dict[str, Any], code: grpc.StatusCode, says: str
) -> None:
    async with caller(tmp_path) as call:
        found, details = await call.refused(name, **fields)

    assert (found, says in details) == (code, True)


async def test_a_store_that_is_away_is_said(tmp_path: Path) -> None:
    async with caller(tmp_path) as call:
        (tmp_path / "users.sqlite").unlink()
        code, details = await call.refused("CreateKey", consumer="declared")

        assert (code, "users.sqlite" in details) == (grpc.StatusCode.FAILED_PRECONDITION, True)
        assert call.counted("CreateKey", "StoreUnavailable") == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        pytest.param("POST", "/keys", b'{"consumer": "x"}', 404, "not_found", id="not found"),
        pytest.param("POST", "/keys", b'{"consumers": "x"}', 400, "invalid_request", id="unknown key"),
        pytest.param("POST", "/keys", b'{"scopes": "x"}', 400, "invalid_request", id="wrong type"),
        pytest.param(
            "POST", "/keys", b'{"consumer": "declared", "models": ["a*b"]}', 400, "invalid_request", id="pattern"
        ),
        pytest.param("POST", "/keys", b"[]", 400, "invalid_request", id="no object"),
        pytest.param("POST", "/keys", b"{", 400, "invalid_request", id="no JSON"),
        pytest.param("POST", "/keys", b"\xff", 400, "invalid_request", id="no text"),
        pytest.param("POST", "/keys", b"[" * 100_000, 400, "invalid_request", id="deep"),
        pytest.param("POST", "/keys", b" " * (LARGEST_BODY + 1), 400, "invalid_request", id="large"),
        pytest.param("GET", "/keys?limit=many", b"", 400, "invalid_request", id="no number"),
        pytest.param("POST", "/consumers", b'{"name": "declared"}', 409, "conflict", id="conflict"),
        pytest.param("POST", "/keys/nobody/revoke", b'{"id": "other"}', 404, "not_found", id="the path counts"),
        pytest.param("PUT", "/keys", b"{}", 405, None, id="method"),
    ],
)
async def test_a_refusal_over_http(
    tmp_path: Path, method: str, path: str, body: bytes, status: int, code: str | None
) -> None:
    async with browser(tmp_path) as http:
        response = await http.request(method, path, content=body)

    assert response.status_code == status, response.text
    assert code is None or response.json()["error"]["code"] == code
    assert "other" not in response.text


async def test_http_answers_as_grpc_does(tmp_path: Path) -> None:
    async with browser(tmp_path) as http:
        answer = await http.post("/keys", json={"consumer": "declared", "expires": 2_000_000_000})
        made = answer.json()
        listed = (await http.get("/keys", params={"consumer": "declared", "limit": "5"})).json()

    assert answer.headers["cache-control"] == "no-store", "a key is in it"
    assert listed == {"keys": [made["details"]], "more": ""}
    assert (made["details"]["expires"], made["told"]["services"]) == (2_000_000_000, 0)
