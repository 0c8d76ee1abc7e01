"""Nothing free: every way to a model is held when a call begins, settled when it ends, and in the ledger with tokens.

The ways are not written down here but found: in the configuration as it was compiled, and in what translators take.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import llm_providers
from control_plane.compile import compile_file
from control_plane.ir import model as ir
from llm_providers.translation import Pair
from service_kit.contract import LLM_APIS, model_route_name
from tests.e2e.test_tokens import data
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.catalog import GPT, LLAMA
from tests.support.llm.clients import HELLO
from tests.support.llm.gateway import RICH, bearer, cloud_upstream, local_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer

# How each endpoint is called. Who adds one says it here, else nothing shows that it is counted.
BODIES: Mapping[str, Mapping[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/completions": {"prompt": "hello there"},
    "/v1/embeddings": {"input": ["hello there", "again"]},
    "/api/chat": {"messages": HELLO},
    "/api/generate": {"prompt": "hello there"},
    "/api/embed": {"input": ["hello there", "again"]},
    "/api/embeddings": {"prompt": "hello there"},
}
OF_VECTORS = {"/v1/embeddings", "/api/embed", "/api/embeddings"}


@pytest.fixture(scope="module")
def running(local: OllamaServer, cloud: OpenAIServer) -> Iterator[Gateway]:
    """Models of each kind of provider, for all that they can be asked; and one with a second who may answer."""
    upstreams = {
        "local": local_upstream(local), "own": local_upstream(local, api="ollama-native"),
        "cloud": cloud_upstream(cloud),
    }  # fmt: skip
    embedders = {"local": "nomic-embed-text", "own": "nomic-embed-text", "cloud": "text-embedding-3-small"}
    models = [
        *({"name": name, "upstream": name, "upstream_model": GPT if name == "cloud" else LLAMA,
           "aliases": [f"a-{name}"], "apis": ["chat", "completions"]} for name in upstreams),
        *({"name": f"vectors-{name}", "upstream": name, "upstream_model": model, "apis": ["embeddings"]}
          for name, model in embedders.items()),
        {"name": "either", "upstream": "own", "upstream_model": LLAMA, "apis": ["chat", "completions"],
         "fallback": ["cloud"]},
    ]  # fmt: skip
    config = {
        "identity": {"bearer_tokens": [{"name": "rich", "token": RICH, "consumer": "acme"}]},
        "defaults": {"auth": ["bearer"]},
        "consumers": [{"name": "acme", "plan": "counted"}],
        "plans": {"counted": {"quotas": [{"usage": "tokens", "amount": "10000000/month"}]}},
        "upstreams": upstreams,
        "models": models,
        "ledger": {"retention": "90d"},
    }
    with running_gateway(config) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def ways(running: Gateway) -> tuple[ir.Route, ...]:
    """The routes by which a request may reach an upstream."""
    compiled = compile_file(running.file, {}).gateway
    reached = tuple(route for route in compiled.routes if asked(route.action))
    assert {upstream for route in reached for upstream in upstreams_of(compiled, route)} == {"local", "own", "cloud"}
    return reached


def asked(action: object) -> tuple[str, ...]:
    """Names of the clusters that a request of such a route may be sent to."""
    if not isinstance(action, ir.Forward):
        return ()
    groups = (action.destinations, *action.fallback)
    names = {item.upstream for group in groups for item in group}
    return tuple(sorted(names - {ir.NOBODY} | ({action.mirror.upstream} if action.mirror else set())))


def upstreams_of(gateway: ir.Gateway, route: ir.Route) -> Iterator[str]:
    behind = {variant.name: variant.upstream for variant in gateway.llm.variants}
    yield from (behind.get(name, name) for name in asked(route.action))


def test_every_way_to_a_model_is_metered(ways: tuple[ir.Route, ...]) -> None:
    assert {route.path.text for route in ways} == BODIES.keys()
    for route in ways:
        assert route.tokens is not None, route.name
        assert route.holds, route.name
        assert route.asks_limiter, route.name
        assert route.model is not None, route.name
        assert route.known_as == f"model:{route.model.model}", "all that is asked of a model counts together"


def test_what_translators_take_has_a_way() -> None:
    """A vendor that brings another endpoint must be counted there as well."""
    taken = {path for pair in pairs() for path in pair.endpoints}

    assert taken == BODIES.keys()


def pairs() -> Iterator[Pair]:
    for found in pkgutil.walk_packages(llm_providers.__path__, f"{llm_providers.__name__}."):
        module = importlib.import_module(found.name)
        yield from (item for item in vars(module).values() if isinstance(item, Pair))


def test_the_ledger_and_the_metrics_know_the_names_of_all_ways(ways: tuple[ir.Route, ...]) -> None:
    known = {model_route_name(api, route.model.model) for api in LLM_APIS for route in ways if route.model}

    assert {route.name for route in ways} <= known
    assert {route.name.partition(":")[0] for route in ways} == set(LLM_APIS)


def test_a_call_by_every_way_is_held_and_settled_and_kept(gateway: Gateway, ways: tuple[ir.Route, ...]) -> None:
    ids = {}
    with gateway.client(headers=bearer()) as client:
        for route in ways:
            assert route.model is not None
            for said in ({},) if route.path.text in OF_VECTORS else ({"stream": False}, {"stream": True}):
                body = {"model": route.model.model, **said, **BODIES[route.path.text]}
                answer = client.post(route.path.text, json=body)
                assert answer.status_code == 200, (route.name, answer.text)
                ids[answer.headers["x-request-id"]] = route.name

    for request_id, name in ids.items():
        row = gateway.logged(request_id)
        assert (row["route"], row["hold"]) == (name, request_id)
    kept = until(lambda: in_ledger(gateway, calls=len(ids)))
    assert {line["route"] for line in kept} == set(ids.values())
    for line in kept:
        assert line["tokens_in"] > 0, line
        assert line["tokens_out"] > 0 or BODIES_OF[line["route"].partition(":")[0]] in OF_VECTORS, line
    total = sum(line["tokens_in"] + line["tokens_out"] for line in kept)
    until(lambda: counted(gateway) == (total, 0))


BODIES_OF = dict(zip(LLM_APIS, BODIES, strict=True))


def in_ledger(gateway: Gateway, *, calls: int) -> list[Mapping[str, Any]]:
    """A line for each route, once there are so many calls."""
    lines: list[Mapping[str, Any]] = data(gateway, "usage", "--by", "route")["usage"]
    return lines if sum(line["calls"] for line in lines) == calls else []


def counted(gateway: Gateway) -> tuple[int, int]:
    """What the quota stands at, and how much of it calls under way hold."""
    (quota,) = data(gateway, "quota", "list", "--consumer", "acme")["quotas"]
    return int(quota["used"]), int(quota["held"])
