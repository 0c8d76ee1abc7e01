"""What tells the endpoints of an upstream apart holds on every way to it: straight, behind another one, translated."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.gateway import running_gateway
from tests.support.llm.catalog import LLAMA, Model
from tests.support.llm.clients import CHAT
from tests.support.llm.gateway import KEY, POOR, RICH, bearer, before, cloud_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Fault, Script

TIMES = 6
WAYS = ("straight", "after", "translated")


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[OllamaServer, OllamaServer]]:
    with OllamaServer([Model(LLAMA)]) as one, OllamaServer([Model(LLAMA)]) as other:
        yield one, other


@pytest.fixture(scope="module")
def http(pair: tuple[OllamaServer, OllamaServer]) -> Iterator[httpx.Client]:
    with OpenAIServer([Model("broken")], keys=[KEY]) as broken:
        broken.plays_always(Script(fault=Fault(500)))
        with running_gateway(configuration(pair, broken)) as gateway, gateway.client() as client:
            yield client


def configuration(pair: tuple[OllamaServer, OllamaServer], broken: OpenAIServer) -> dict[str, object]:
    """Each way to two servers, by each of two things that tell them apart; `broken` hashes by nothing."""
    upstreams: dict[str, object] = {"broken": cloud_upstream(broken)}
    models: list[object] = []
    for word, hash_by in (("header", "header x-session"), ("subject", "subject")):
        hashed = {
            "endpoints": [server.url for server in pair],
            "health_check": "none",
            "load_balancing": {"policy": "maglev", "hash_by": hash_by},
        }
        upstreams |= {word: {**hashed, "api": "ollama"}, f"{word}-native": {**hashed, "api": "ollama-native"}}
        models += [
            {"name": f"straight-{word}", "upstream": word, "upstream_model": LLAMA},
            {
                "name": f"after-{word}",
                "upstream": "broken",
                "upstream_model": "broken",
                "fallback": [{"upstream": word, "model": LLAMA}],
            },
            {"name": f"translated-{word}", "upstream": f"{word}-native", "upstream_model": LLAMA},
        ]
    plans = {"pro": {}, "free": {}}
    return {**before(pair[0], broken), "upstreams": upstreams, "models": models, "plans": plans, "llm": {}}


def answered_by(
    pair: tuple[OllamaServer, OllamaServer], http: httpx.Client, model: str, token: str, session: str
) -> set[int]:
    """Which of the servers answer some calls of this caller in this session."""
    for server in pair:
        server.forget()
    asked = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    for _ in range(TIMES):
        answer = http.post(CHAT, json=asked, headers={**bearer(token), "x-session": session})
        assert answer.status_code == 200, answer.text
    assert sum(len(server.calls) for server in pair) == TIMES
    return {index for index, server in enumerate(pair) if server.calls}


@pytest.mark.parametrize("way", WAYS)
def test_a_session_stays_at_an_endpoint(pair: tuple[OllamaServer, OllamaServer], http: httpx.Client, way: str) -> None:
    found = [answered_by(pair, http, f"{way}-header", RICH, f"session-{number}") for number in range(12)]

    assert {len(servers) for servers in found} == {1}
    assert set[int]().union(*found) == {0, 1}


@pytest.mark.parametrize("way", WAYS)
def test_a_caller_stays_at_an_endpoint_whatever_the_session(
    pair: tuple[OllamaServer, OllamaServer], http: httpx.Client, way: str
) -> None:
    for token in (RICH, POOR):
        first, *others = [answered_by(pair, http, f"{way}-subject", token, f"session-{n}") for n in range(4)]

        assert len(first) == 1
        assert others == [first] * len(others)
