"""Discovery against servers that speak as Ollama and OpenAI do."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from control_plane.config.values.network import upstream_url
from control_plane.discovery.asking import AT_A_TIME, LARGEST_ANSWER, listed_models
from control_plane.discovery.discovery import DiscoveredModels
from control_plane.discovery.kept import kept_models
from control_plane.discovery.listing import Listing
from control_plane.discovery.sources import ModelSource
from control_plane.ir.model import Credential, Identification, Secret, UpstreamTls
from control_plane.polling.answers import Unavailable
from service_kit.clock import SystemClock
from service_kit.log import configure_logs
from tests.support.asgi_server import asgi_server
from tests.support.certificates import Authority
from tests.support.eventually import eventually
from tests.support.llm.catalog import OLLAMA_MODELS, Model
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import KEY, OpenAIServer
from tests.support.ports import free_port


def source(*urls: str, provider: str = "ollama", **changes: Any) -> ModelSource:
    fields = {"refresh": 0.05, "grace": 0.5, "connect_timeout": 2.0}
    return ModelSource("backend", provider, tuple(map(upstream_url, urls)), **{**fields, **changes})


def names(found: Listing) -> list[str]:
    return [model.name for model in found.models]


def asked(server: OllamaServer, path: str) -> int:
    return sum(call.path == path for call in server.calls)


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


@contextmanager
def serving(*routes: Route) -> Iterator[str]:
    """A server that is none of the two; its URL."""
    port = free_port()
    with asgi_server(Starlette(routes=list(routes)), port, access_log=False):
        yield f"http://127.0.0.1:{port}"


def saying(body: bytes, status: int = 200, **headers: str) -> Route:
    """The whole of `/api/tags`."""

    async def answer(_request: Request) -> Response:
        return Response(body, status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return Route("/api/tags", answer)


class TestOllama:
    async def test_its_models_are_listed_with_what_they_can_do(self, ollama: OllamaServer):
        found = await listed_models(source(ollama.url), None)

        assert names(found) == sorted(model.name for model in OLLAMA_MODELS)
        by_name = {model.name: model for model in found.models}
        assert by_name["nomic-embed-text:latest"].capabilities == ("embedding",)
        assert by_name["qwen3:8b"].context == 40_960
        assert by_name["llama3.1:8b"].parameters == "8.0B"

    async def test_details_are_asked_once_for_what_has_the_same_digest(self, ollama: OllamaServer):
        first = await listed_models(source(ollama.url), None)
        ollama.add(Model("new:1b"))
        second = await listed_models(source(ollama.url), first)

        assert asked(ollama, "/api/show") == len(OLLAMA_MODELS) + 1
        assert {model.name: model for model in second.models}["qwen3:8b"].context == 40_960

    async def test_details_that_cannot_be_had_cost_no_model(self):
        tags = json.dumps({"models": [{"name": "a:1", "digest": "d"}, {"name": "b:1", "digest": "e"}]}).encode()

        async def show(request: Request) -> Response:
            if (await request.json())["model"] == "a:1":
                return Response("broken", 500)
            return Response(json.dumps({"capabilities": ["embedding"]}))

        with serving(saying(tags), Route("/api/show", show, methods=["POST"])) as url:
            found = await listed_models(source(url), None)

        assert [(model.name, model.capabilities) for model in found.models] == [("a:1", ()), ("b:1", ("embedding",))]
        assert found.described == {"b:1"}

    async def test_few_details_are_asked_at_a_time(self):
        tags = json.dumps({"models": [{"name": f"m:{number}", "digest": "d"} for number in range(40)]}).encode()
        under_way: list[int] = [0]
        most: list[int] = [0]

        async def show(_request: Request) -> Response:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            await asyncio.sleep(0.005)
            under_way[0] -= 1
            return Response("{}")

        with serving(saying(tags), Route("/api/show", show, methods=["POST"])) as url:
            found = await listed_models(source(url), None)

        assert len(found.described) == 40
        assert 1 < most[0] <= AT_A_TIME


class TestOpenAI:
    async def test_its_models_are_listed_with_the_credential_of_the_upstream(self):
        credential = Credential("authorization", Secret(f"Bearer {KEY}".encode()))
        with OpenAIServer() as server:
            found = await listed_models(source(server.url, provider="openai", credential=credential), None)

            assert names(found) == sorted(model.name for model in server.models)

    async def test_a_refusal_says_the_status_and_no_key(self):
        with OpenAIServer() as server, pytest.raises(Unavailable, match=r"/v1/models answers 401$"):
            await listed_models(source(server.url, provider="openai"), None)

    async def test_the_path_of_the_upstream_is_asked_below(self):
        paths: list[str] = []

        async def answer(request: Request) -> Response:
            paths.append(request.url.path)
            return Response('{"data": [{"id": "a", "created": 7, "owned_by": "me"}]}')

        with serving(Route("/{path:path}", answer)) as url:
            (model,) = (await listed_models(source(f"{url}/openai/v1", provider="openai"), None)).models

        assert paths == ["/openai/v1/models"]
        assert (model.created, model.owner) == (7, "me")


class TestEndpoints:
    async def test_the_first_that_answers_counts(self, ollama: OllamaServer):
        found = await listed_models(source(f"http://127.0.0.1:{free_port()}", ollama.url), None)

        assert len(found.models) == len(OLLAMA_MODELS)

    async def test_where_none_does_each_reason_is_told(self):
        with serving(saying(b"busy", 503)) as url, pytest.raises(Unavailable) as error:
            await listed_models(source(url, f"http://127.0.0.1:{free_port()}"), None)

        assert "/api/tags answers 503; " in str(error.value)
        assert "cannot be asked" in str(error.value)

    async def test_they_are_told_the_host_of_the_upstream(self):
        hosts: list[str] = []

        async def answer(request: Request) -> Response:
            hosts.append(request.headers["host"])
            return Response('{"models": []}')

        with serving(Route("/api/tags", answer)) as url:
            await listed_models(source(url), None)
            await listed_models(source(url, host="models.example.com"), None)

        assert hosts == [url.removeprefix("http://"), "models.example.com"]


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        pytest.param(saying(b"<html>"), "answers with no list of models", id="no-json"),
        pytest.param(saying(b'{"data": []}'), "answers with no list of models", id="another-api"),
        pytest.param(saying(b'{"models": [{"size": 3}]}'), "a model has no name", id="without-a-name"),
        pytest.param(saying(b"\xff"), "answers with no list of models", id="no-utf-8"),
        pytest.param(saying(b"[" * 100_000), "answers with no list of models", id="nested-too-deeply"),
        pytest.param(saying(b" " * (LARGEST_ANSWER + 1)), "more than 4194304 bytes", id="too-large"),
        pytest.param(saying(b"", 302, location="http://169.254.169.254/"), "redirects", id="a-redirect"),
        pytest.param(saying(b"", 200, content_encoding="gzip"), "packed", id="packed"),
    ],
)
async def test_what_is_no_list_is_no_answer(route: Route, reason: str):
    with serving(route) as url, pytest.raises(Unavailable, match=reason):
        await listed_models(source(url), None)


class TestTls:
    @pytest.fixture
    def authority(self) -> Authority:
        return Authority()

    @contextmanager
    def secured(self, authority: Authority, folder: Path, *names: str, **options: Any) -> Iterator[OllamaServer]:
        certificate, key = authority.issue(*names)
        pair = {"ssl_certfile": folder / "tls.crt", "ssl_keyfile": folder / "tls.key"}
        for file, pem in zip(pair.values(), (certificate, key), strict=True):
            file.write_text(pem)
        with OllamaServer(**{name: str(file) for name, file in pair.items()}, **options) as server:
            yield server

    async def test_it_is_verified_by_the_authorities_of_the_upstream(self, authority: Authority, tmp_path: Path):
        with self.secured(authority, tmp_path, "127.0.0.1") as server:
            found = await listed_models(source(server.url, tls=UpstreamTls("1.2", ca=authority.pem)), None)
            assert len(found.models) == len(OLLAMA_MODELS)
            assert await listed_models(
                source(server.url, tls=UpstreamTls("1.3"), system_ca=f"# é\n{authority.pem}"), None
            )

            with pytest.raises(Unavailable, match=r"(?i)certificate"):
                await listed_models(source(server.url, tls=UpstreamTls("1.2", ca=Authority("other").pem)), None)

    async def test_the_name_that_is_asked_for_is_the_one_that_is_verified(self, authority: Authority, tmp_path: Path):
        with self.secured(authority, tmp_path, "models.example.com") as server:
            named = UpstreamTls("1.2", ca=authority.pem, server_name="models.example.com")
            assert await listed_models(source(server.url, tls=named), None)

            with pytest.raises(Unavailable, match=r"(?i)certificate"):
                await listed_models(source(server.url, tls=UpstreamTls("1.2", ca=authority.pem)), None)

    async def test_where_nothing_is_verified_anybody_answers(self, authority: Authority, tmp_path: Path):
        with self.secured(authority, tmp_path, "other.example.com") as server:
            assert await listed_models(source(server.url, tls=UpstreamTls("1.2", verify=False)), None)

    async def test_it_shows_the_certificate_of_the_gateway(self, authority: Authority, tmp_path: Path):
        (tmp_path / "ca.pem").write_text(authority.pem)
        certificate, key = authority.issue("gateway")
        options = {"ssl_ca_certs": str(tmp_path / "ca.pem"), "ssl_cert_reqs": 2}
        with self.secured(authority, tmp_path, "127.0.0.1", **options) as server:
            own = Identification(certificate, Secret(key.encode()))
            assert await listed_models(
                source(server.url, tls=UpstreamTls("1.2", ca=authority.pem, identification=own)), None
            )

            with pytest.raises(Unavailable):
                await listed_models(source(server.url, tls=UpstreamTls("1.2", ca=authority.pem)), None)


@asynccontextmanager
async def following(folder: Path, *sources: ModelSource) -> AsyncIterator[DiscoveredModels]:
    models = DiscoveredModels(
        listed_models, kept_models(folder), clock=SystemClock(), log=configure_logs("control_plane"),
        registry=CollectorRegistry(), random=lambda: 0.5, changed=lambda: None, look=0.02,
    )  # fmt: skip
    task = asyncio.create_task(models.run())
    try:
        await models.prepare(sources)
        await models.follow(sources)
        yield models
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def listed(models: DiscoveredModels) -> set[str]:
    return {model.name for model in models.found()["backend"]}


async def test_models_follow_the_server_as_it_changes_stops_and_starts(tmp_path: Path, ollama: OllamaServer):
    async with following(tmp_path, source(ollama.url)) as models:
        everything = {model.name for model in OLLAMA_MODELS}
        assert listed(models) == everything

        ollama.add(Model("new:1b"))
        await eventually(lambda: "new:1b" in listed(models))
        ollama.remove("llava:7b")
        await eventually(lambda: "llava:7b" not in listed(models))

        await asyncio.to_thread(ollama.stop)
        await eventually(lambda: models.states()[0].standing.value == "away")
        assert listed(models) == everything - {"llava:7b"} | {"new:1b"}
        await eventually(lambda: models.states()[0].standing.value == "down")
        assert listed(models) == set()

        await asyncio.to_thread(ollama.start)
        await eventually(lambda: listed(models) == everything - {"llava:7b"} | {"new:1b"})
        assert models.states()[0].standing.value == "up"


async def test_a_start_while_the_server_is_away_goes_on_from_what_was_found(tmp_path: Path, ollama: OllamaServer):
    patient = source(ollama.url, grace=600.0)
    async with following(tmp_path, patient) as models:
        before = models.found()
        await eventually(lambda: list(tmp_path.glob("models/*.json")))
    await asyncio.to_thread(ollama.stop)

    async with following(tmp_path, patient) as models:
        assert models.found() == before
        await eventually(lambda: models.states()[0].reason.endswith("All connection attempts failed"))
