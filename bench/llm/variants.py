"""What is compared, as data: nothing, bare Envoy, gateways, and LiteLLM, each before the same provider."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.envoys import access_log, running_envoy, written_bootstrap
from bench.ground import issuer
from bench.llm.asks import MODEL, OLLAMA, OPENAI, THEIR_MODEL, Dialect
from bench.llm.calls import Place
from bench.llm.ground import Ground
from bench.llm.litellm import VERSION, running_litellm
from bench.programs import processes_of
from tests.support.gateway import running_gateway
from tests.support.ports import free_port
from tollgate_cli.supervisor.processes import ENVOY

PLAN = "bench"
NAME = "bench-model"
# Never reached: what is measured is the asking.
LIMITS = [{"requests": "1000000/minute"}, {"tokens": "1000000000/minute"}]
PRICE = {"input": 0.10, "output": 0.30, "unit": "1M"}


@dataclass(frozen=True)
class Setup:
    """What tells gateways apart: who judges tokens, what the upstream speaks, and whether a fleet limits them."""

    enforce: str = "envoy"
    api: str = "openai"
    limits: bool = False


@dataclass(frozen=True)
class Running:
    """A variant that serves, or soon will: where, and its processes by name."""

    place: Place
    processes: Mapping[str, int]


@dataclass(frozen=True)
class Variant:
    """One way to a model. `shows` is what a reader learns from it."""

    name: str
    shows: str
    start: Callable[[Ground], AbstractContextManager[Running]]
    dialect: Dialect = OPENAI


@contextmanager
def provider_alone(ground: Ground) -> Iterator[Running]:
    yield Running(Place(ground.provider_port, ground.token), {})


@contextmanager
def bare(ground: Ground, name: str, log: Callable[[Ground], Sequence[object]]) -> Iterator[Running]:
    port = free_port()
    values = {"PORT": port, "UPSTREAM_PORT": ground.provider_port, "ACCESS_LOG": log(ground)}
    with running_envoy(ground.envoy, written_bootstrap(ground.folder, name, "bare.yaml", values)) as envoy:
        yield Running(Place(port, ground.token), {ENVOY: envoy})


@contextmanager
def gateway(ground: Ground, setup: Setup) -> Iterator[Running]:
    """As an operator runs it, the supervisor counted."""
    with running_gateway(config(ground, setup), whole=True) as running:
        yield Running(Place(running.port, ground.token), processes_of(running))


def config(ground: Ground, setup: Setup) -> dict[str, Any]:
    """One model behind a JWT. Clients call it by an alias, and its upstream by a name of its own."""
    path = "/v1" if setup.api == "openai" else ""
    plan = {"limits": LIMITS} if setup.limits else {}
    return {
        "identity": {"jwt": [issuer(ground.jwks, setup.enforce)]},
        "defaults": {"auth": ["jwt"], "plan": PLAN},
        "plans": {PLAN: plan},
        "upstreams": {"provider": {"url": f"{ground.provider_url}{path}", "api": setup.api, "health_check": "none"}},
        "models": [
            {"name": NAME, "aliases": [MODEL], "upstream": "provider", "upstream_model": THEIR_MODEL, "price": PRICE}
        ],
        "llm": {},
    }


@contextmanager
def litellm(ground: Ground) -> Iterator[Running]:
    with running_litellm(ground) as (place, processes):
        yield Running(place, processes)


def _no_log(_ground: Ground) -> Sequence[object]:
    return []


def _tollgates_log(ground: Ground) -> Sequence[object]:
    return access_log(ground.folder / "bare-access.log")


BASELINE, NATIVE, LITELLM = "bare", "native", "litellm"
VARIANTS = (
    Variant("provider", "no gateway: what generator and provider take by themselves", provider_alone),
    Variant(
        BASELINE,
        "Envoy, one route, one cluster, no filter but the router, no log",
        partial(bare, name="bare", log=_no_log),
    ),
    Variant(
        "bare-log",
        "the same with Tollgate's access log, which a gateway always writes",
        partial(bare, name="bare-log", log=_tollgates_log),
    ),
    Variant(
        NATIVE,
        "Tollgate: a model on an upstream of `api: openai`, called by an alias, a JWT judged by Envoy"
        " (`enforce: envoy`), every token counted, priced and written to the ledger; no limit of a fleet",
        partial(gateway, setup=Setup()),
    ),
    Variant(
        "native-limits",
        "the same with limits of a fleet on calls and on tokens: `ratelimit_service` is asked before each call, and"
        " told what it came to",
        partial(gateway, setup=Setup(limits=True)),
    ),
    Variant(
        "authorizer",
        "`native` with the JWT judged by `authz_service`",
        partial(gateway, setup=Setup(enforce="service")),
    ),
    Variant(
        "ollama",
        "`native` for a client of Ollama's API, on an upstream of `api: ollama`: NDJSON",
        partial(gateway, setup=Setup(api="ollama")),
        OLLAMA,
    ),
    Variant(
        "translated",
        "`native` on an upstream of `api: ollama-native`: `llm_translator` makes SSE of its NDJSON",
        partial(gateway, setup=Setup(api="ollama-native")),
    ),
    Variant(
        LITELLM,
        f"LiteLLM {VERSION}, one worker, its master key as credential, no database, no limits",
        litellm,
    ),
)
