"""Models come and go while others are called: nobody who calls one that stays notices."""

import threading

import httpx

from tests.support.gateway import running_gateway
from tests.support.llm.calls import Outcome
from tests.support.llm.catalog import GPT, LLAMA, QWEN
from tests.support.llm.clients import CHAT, HELLO
from tests.support.llm.gateway import bearer, before
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Script
from tests.support.llm.tokens import words

LONG = 20


def test_a_model_comes_and_goes(local: OllamaServer, cloud: OpenAIServer) -> None:
    """Before it is there it is unknown, then it answers, and then it is unknown again: nothing else in between."""
    stays = {"name": "stays", "upstream": "local", "upstream_model": LLAMA, "fallback": ["comes"]}
    comes = {"name": "comes", "upstream": "local", "upstream_model": QWEN,
             "fallback": [{"upstream": "cloud", "model": GPT}]}  # fmt: skip
    alone = before(local, cloud, models=[{**stays, "fallback": []}], plans={"pro": {}, "free": {}}, llm={})
    both = before(local, cloud, models=[stays, comes], plans={"pro": {}, "free": {}}, llm={})
    gate = threading.Event()
    local.plays(Script(text=words(LONG), gates={5: gate}))
    with running_gateway(alone) as gateway, gateway.client(headers=bearer()) as http:
        with http.stream("POST", CHAT, json={"model": "stays", "messages": HELLO, "stream": True}) as stream:
            lines = stream.iter_lines()
            next(lines)

            gateway.write(both)
            came = _until(http, 200)
            gateway.write(alone)
            went = _until(http, 404)

            gate.set()
            assert [*lines][-2:] == ["data: [DONE]", ""]
        assert local.answers[0].outcome is Outcome.COMPLETE
    assert set(came) <= {404, 200}
    assert set(went) <= {404, 200}


def _until(http: httpx.Client, wanted: int) -> list[int]:
    """The statuses of calls of the model that comes, up to this one."""
    statuses: list[int] = []
    for _ in range(3000):
        statuses.append(http.post(CHAT, json={"model": "comes", "messages": HELLO}).status_code)
        if statuses[-1] == wanted:
            return statuses
    raise AssertionError(statuses[-10:])
