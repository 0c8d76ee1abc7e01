import asyncio

import httpx
import jwt
import pytest
import websockets

from control_plane.compile import compile_file
from examples.quickstart.accounts import AUDIENCE, ISSUER, accounts
from examples.quickstart.agents import ANSWERS, agent
from examples.quickstart.credentials import FILE, VARIABLES, quickstart_secrets
from examples.quickstart.services import apps, language_model_url
from service_kit.endpoint import TcpEndpoint
from service_kit.http import HttpServer
from tests.support.envoy import ROOT
from tests.support.ports import free_port

SECRET = "5ecret" * 8


def client(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.mark.parametrize("name", sorted(ANSWERS))
async def test_an_agent_answers_to_its_input(name):
    async with client(agent(name)) as http:
        answer = (await http.post("/run", json={"input": "printers"})).json()

    assert answer["agent"] == name
    assert "'printers'" in answer["answer"]


async def test_an_agent_knows_the_caller_that_the_gateway_names():
    headers = {"x-tollgate-subject": "alice", "x-tollgate-plan": "pro"}
    async with client(agent("email")) as http:
        answer = await http.post("/run", json={"input": "x"}, headers=headers)

    assert answer.json()["caller"] == {"subject": "alice", "tenant": "-", "plan": "pro"}


@pytest.mark.parametrize(
    "body", [pytest.param(b"{", id="no json"), pytest.param(b"[]", id="no object"), pytest.param(b"{}", id="no input")]
)
async def test_an_agent_refuses_what_it_cannot_read(body):
    async with client(agent("email")) as http:
        assert (await http.post("/run", content=body)).status_code == 422


async def test_every_agent_is_healthy():
    for name in ANSWERS:
        async with client(agent(name)) as http:
            assert (await http.get("/health")).json() == {"status": "ok", "agent": name}


async def test_the_support_agent_echoes_over_a_websocket():
    address = TcpEndpoint("127.0.0.1", free_port())
    server = HttpServer(agent("support"), address)
    task = asyncio.create_task(server.serve())
    async with websockets.connect(f"ws://{address}/ws") as socket:
        await socket.send("anybody there?")

        assert await socket.recv() == "anybody there?"
    server.stop()
    await task


@pytest.mark.parametrize(
    ("user", "password", "plan", "scopes"),
    [
        pytest.param("alice", "wonderland", "pro", {"email.send", "rag.read"}, id="alice"),
        pytest.param("bob", "builder", "free", {"rag.read"}, id="bob"),
    ],
)
async def test_a_login_issues_a_token_that_says_what_the_user_may(user, password, plan, scopes):
    async with client(accounts(SECRET)) as http:
        answer = (await http.post("/auth/login", json={"username": user, "password": password})).json()
    claims = jwt.decode(answer["access_token"], SECRET, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER)

    assert (claims["sub"], claims["plan"], set(claims["scope"].split())) == (user, plan, scopes)
    assert claims["exp"] - claims["iat"] == answer["expires_in"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"username": "alice", "password": "guess"}, id="wrong password"),
        pytest.param({"username": "mallory", "password": ""}, id="unknown user, empty password"),
        pytest.param({"username": "alice", "password": None}, id="no text"),
        pytest.param([], id="no object"),
    ],
)
async def test_a_login_without_the_password_is_refused(body):
    async with client(accounts(SECRET)) as http:
        assert (await http.post("/auth/login", json=body)).status_code == 401


def test_a_real_ollama_takes_the_place_of_the_stand_in():
    environ = {"TOLLGATE_QUICKSTART_SECRET": SECRET}

    assert len(apps(environ)) - len(apps({**environ, "OLLAMA_BASE_URL": "http://127.0.0.1:11434"})) == 1


def test_the_gateways_configuration_is_valid():
    secrets = dict.fromkeys(VARIABLES, SECRET)

    checked = compile_file(ROOT / "examples" / "quickstart" / "gateway.yaml", secrets)

    assert str(checked.listeners["public"]) == "127.0.0.1:8800"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, "http://127.0.0.1:18707", id="the stand-in"),
        pytest.param({"TOLLGATE_QUICKSTART_PORTS": "211"}, "http://127.0.0.1:21107", id="the stand-in elsewhere"),
        pytest.param({"OLLAMA_BASE_URL": "http://gpu:11434"}, "http://gpu:11434", id="a real Ollama"),
    ],
)
def test_where_the_language_model_is(environ, expected):
    assert language_model_url(environ) == expected


def test_secrets_are_kept_where_only_their_owner_reads_them(tmp_path):
    first = quickstart_secrets(tmp_path / "state")

    assert first == quickstart_secrets(tmp_path / "state")
    assert sorted(first) == sorted(VARIABLES)
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600


def test_a_broken_file_of_secrets_is_made_anew(tmp_path):
    (tmp_path / FILE).write_text("{")

    assert all(len(secret) >= 32 for secret in quickstart_secrets(tmp_path).values())
