"""The operations over HTTP: the same answers as over gRPC, for holders of the admin token."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from control_plane.admin.http import operations_routes
from control_plane.history.entries import CannotRollBack, NoSuchEntry
from control_plane.operations.reports import HistoryEntry
from tests.support.audit import audit_trail
from tests.support.operations import TOKEN, StandIn

BEARER = {"authorization": f"Bearer {TOKEN}"}


def client(operations: StandIn) -> httpx.AsyncClient:
    app = Starlette(routes=list(operations_routes(operations, lambda: TOKEN, audit_trail())))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin")


@pytest.mark.parametrize(("method", "path"), [("GET", "/status"), ("GET", "/history"), ("POST", "/rollback")])
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", f"Basic {TOKEN}"])
async def test_every_route_wants_the_token(method: str, path: str, authorization: str | None) -> None:
    operations = StandIn()
    headers = {} if authorization is None else {"authorization": authorization}
    async with client(operations) as http:
        response = await http.request(method, path, headers=headers, json={"number": 3})

    assert (response.status_code, response.json()["error"]["code"], operations.asked) == (401, "unauthorized", [])


async def test_status() -> None:
    async with client(StandIn()) as http:
        report = (await http.get("/status", headers=BEARER)).json()

    assert (report["configuration"]["number"], report["nodes"][0]["node"], report["problems"]) == (7, "e1", [])


@pytest.mark.parametrize(("query", "numbers"), [("", [2, 1]), ("?limit=1", [2])])
async def test_history(query: str, numbers: list[int]) -> None:
    entries = (HistoryEntry(2, 2.0, "bb", "c", "live"), HistoryEntry(1, 1.0, "aa", "c", "live"))
    async with client(StandIn(entries=entries)) as http:
        report = (await http.get(f"/history{query}", headers=BEARER)).json()

    assert [entry["number"] for entry in report["entries"]] == numbers


@pytest.mark.parametrize("limit", ["0", "-1", "many", "٣", "99999999999", "9" * 5000])
async def test_a_limit_that_is_none(limit: str) -> None:
    async with client(StandIn()) as http:
        response = await http.get("/history", headers=BEARER, params={"limit": limit})

    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(("body", "asked"), [({"number": 3}, 3), ({"release": True}, None)])
async def test_rollback(body: Any, asked: int | None) -> None:
    operations = StandIn()
    async with client(operations) as http:
        response = await http.post("/rollback", headers=BEARER, json=body)

    assert (response.status_code, response.json()["held"], operations.asked) == (200, True, [asked])


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff", b"[]", b"{}", b"3", b"null", b'{"number": "3"}', b'{"number": 0}', b'{"number": true}',
        b'{"number": 3.0}', b'{"number": 3, "release": true}', b'{"release": false}', b'{"number": 99999999999}',
        2_000 * b"[", b'{"release": true}' + 10_000 * b" ", b'{"number": ' + 4_000 * b"9" + b"}",
    ],
)  # fmt: skip
async def test_a_body_that_asks_for_nothing(body: bytes) -> None:
    operations = StandIn()
    async with client(operations) as http:
        response = await http.post("/rollback", headers=BEARER, content=body)

    assert (response.status_code, response.json()["error"]["code"], operations.asked) == (400, "invalid_request", [])


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(NoSuchEntry("no number 9"), 404, "no_such_entry"), (CannotRollBack("not valid"), 409, "cannot_roll_back")],
)
async def test_a_rollback_that_cannot_be(error: CannotRollBack, status: int, code: str) -> None:
    async with client(StandIn(result=error)) as http:
        response = await http.post("/rollback", headers=BEARER, json={"number": 9})

    assert (response.status_code, response.json()["error"]) == (status, {"code": code, "message": str(error)})


async def test_a_rollback_is_no_get() -> None:
    async with client(StandIn()) as http:
        assert (await http.get("/rollback", headers=BEARER)).status_code == 405
