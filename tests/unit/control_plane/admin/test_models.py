"""`GET /models`: behind the admin token, the JSON of its message."""

import httpx
import pytest
from google.protobuf import json_format
from starlette.applications import Starlette

from control_plane.admin.calls import Served
from control_plane.admin.models import models_routes
from control_plane.operations.models import ModelReport, TargetReport
from tests.support.audit import audit_trail
from tests.support.operations import TOKEN, StandIn
from tollgate_pb.tollgate.admin.v1 import models_pb2 as models_pb

SMART = ModelReport(
    "smart", "gateway.yaml:7:5", "up", "", ("best",), ("chat",), (TargetReport("hosted", "gpt-4o", 0, 1, 2.5, 10.0),),
    ("pro",),
)  # fmt: skip


async def get(path: str, token: str = TOKEN) -> httpx.Response:
    app = Starlette(routes=models_routes(Served(StandIn(known=(SMART,)), lambda: TOKEN, audit_trail())))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin") as client:
        return await client.get(path, headers={"authorization": f"Bearer {token}"})


async def test_models_are_for_who_holds_the_token():
    assert (await get("/models", "wrong")).status_code == 401


async def test_it_is_the_json_of_its_message():
    response = await get("/models")

    message = json_format.ParseDict(response.json(), models_pb.ModelsReport())
    (model,) = message.models
    assert (model.name, list(model.aliases), model.targets[0].input_price) == ("smart", ["best"], 2.5)


@pytest.mark.parametrize(("name", "status"), [("smart", 200), ("other", 404)])
async def test_one_of_them(name: str, status: int):
    assert (await get(f"/models?name={name}")).status_code == status
