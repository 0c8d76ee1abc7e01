"""Stand-ins of model servers, and clients of a gateway before them; each module says what `running` is configured as.

Before each test the stand-ins forget the calls of the one before, and what they were told to play.
"""

from collections.abc import Iterator

import httpx
import ollama
import openai
import pytest

from tests.support.gateway import Gateway
from tests.support.llm.backends import Backends, running_backends
from tests.support.llm.clients import ollama_client, openai_client
from tests.support.llm.gateway import KEY, bearer
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer


@pytest.fixture(scope="module")
def local() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


@pytest.fixture(scope="module")
def cloud() -> Iterator[OpenAIServer]:
    with OpenAIServer(keys=[KEY]) as server:
        yield server


@pytest.fixture
def gateway(running: Gateway, local: OllamaServer, cloud: OpenAIServer) -> Gateway:
    local.forget()
    cloud.forget()
    return running


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client(headers=bearer()) as found:
        yield found


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai_client(gateway.url) as found:
        yield found


@pytest.fixture
def of_ollama(gateway: Gateway) -> Iterator[ollama.Client]:
    with ollama_client(gateway.url) as found:
        yield found


@pytest.fixture(scope="module")
def running_before_all() -> Iterator[Backends]:
    with running_backends() as found:
        yield found


@pytest.fixture
def backends(running_before_all: Backends) -> Backends:
    running_before_all.forget()
    return running_before_all
