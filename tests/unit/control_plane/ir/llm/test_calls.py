"""What a model's routes take, what they count and change, and what a client may not say."""

from typing import Any

import pytest

from control_plane.ir.model import NOBODY, Api, Asked, Destination, Dialect, Metering, PathKind, PathMatch, Route
from tests.support.models import MODEL_UPSTREAMS, compiled_models, model, routes_of, with_models

NEWER = "max_completion_tokens"
OPENAI_APIS = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "embeddings": "/v1/embeddings"}
OLLAMA_APIS = {
    "ollama-chat": "/api/chat",
    "ollama-generate": "/api/generate",
    "ollama-embed": "/api/embed",
    "ollama-embeddings": "/api/embeddings",
}


def routes(*models: dict[str, Any], **changes: Any) -> dict[str, Route]:
    return routes_of(compiled_models(with_models(*models, **changes)))


def metering(route: str, **changes: Any) -> Metering:
    found = routes(model(**changes))[route].tokens
    assert found is not None
    return found


@pytest.mark.parametrize(("api", "path"), [*OPENAI_APIS.items(), *OLLAMA_APIS.items()])
def test_each_api_has_a_route_for_each_model_and_one_for_what_no_model_takes(api: str, path: str) -> None:
    found = routes(model("m", aliases=["b", "a"]), model("n"))

    assert [found[name].path for name in (f"{api}:", f"{api}:m", f"{api}:n")] == [PathMatch(path, PathKind.EXACT)] * 3
    assert [found[name].asked for name in (f"{api}:", f"{api}:m", f"{api}:n")] == [
        Asked(), Asked(("a", "b", "m")), Asked(("n",)),
    ]  # fmt: skip
    assert {found[name].methods for name in (f"{api}:", f"{api}:m")} == {("POST",)}


def test_a_model_comes_before_what_takes_all_the_others() -> None:
    names = list(routes(model("zz"), model("m")))

    assert names.index("chat:m") < names.index("chat:zz") < names.index("chat:")


def test_what_no_model_takes_reaches_nobody_and_is_not_counted() -> None:
    found = routes(model(), llm={"limits": [{"requests": "5/minute"}]})["chat:"]

    assert found.forward is not None
    assert found.forward.destinations == (Destination(NOBODY),)
    assert (found.asks_limiter, found.limits, found.tokens, found.model) == (False, (), None, None)


@pytest.mark.parametrize(
    ("apis", "expected"),
    [
        pytest.param(["chat"], {"chat", "ollama-chat", "ollama-generate"}, id="chat"),
        pytest.param(["completions"], {"completions", "ollama-generate"}, id="completions"),
        pytest.param(["embeddings"], {"embeddings", "ollama-embed", "ollama-embeddings"}, id="embeddings"),
    ],
)
def test_a_model_is_called_by_its_apis_alone(apis: list[str], expected: set[str]) -> None:
    found = routes(model(apis=apis))

    assert {name.partition(":")[0] for name, route in found.items() if route.model is not None} == expected


def test_without_ollamas_clients_its_paths_are_free() -> None:
    found = routes(model(), llm={"ollama": False})

    assert not [route for route in found.values() if route.path.text.startswith("/api/")]


@pytest.mark.parametrize("name", ["m", "other"])
def test_the_default_model_takes_bodies_that_name_none(name: str) -> None:
    found = routes(model(aliases=["other"]), model("n"), llm={"default_model": name})

    assert found["chat:m"].asked == Asked(("m", "other"), unnamed=True)
    assert found["chat:n"].asked == Asked(("n",))


def test_limits_of_a_model_and_of_all_models_are_counted_by_their_owners() -> None:
    found = routes(
        model("org/m:8b", limits=[{"tokens": "9/minute"}, {"requests": "5/day", "per": "model"}]),
        llm={"limits": [{"requests": "7/minute", "per": "ip"}]},
    )

    for name in ("chat:org/m:8b", "ollama-chat:org/m:8b"):
        assert [limit.id for limit in found[name].limits] == [
            "llm:minute:ip", "model/org/m:8b:day:model", "model/org/m:8b:minute:tokens:subject",
        ]  # fmt: skip
        assert found[name].counted_as == "model:org/m:8b"
        assert found[name].asks_limiter
        assert found[name].holds


@pytest.mark.parametrize(
    ("plan", "asks"),
    [
        pytest.param({}, False, id="no-rule"),
        pytest.param({"limits": [{"tokens": "9/minute"}]}, True, id="tokens"),
        pytest.param({"quotas": [{"usage": "usd", "amount": "9/day"}]}, True, id="dollars"),
        pytest.param({"quotas": [{"usage": "talk", "amount": "9/day"}]}, True, id="usage"),
        pytest.param({"limits": [{"requests": "9/minute", "scope": "instance"}]}, False, id="of-each-envoy"),
    ],
)
def test_the_limiter_is_asked_where_a_plan_counts(plan: dict[str, Any], asks: bool) -> None:
    found = routes(model(price={"input": 1}), llm={"usage": "talk"}, plans={"free": plan})["chat:m"]

    assert (found.asks_limiter, found.holds, found.usage) == (asks, asks, "talk")
    assert found.limited_here == ("scope" in str(plan))


@pytest.mark.parametrize(
    ("route", "written", "expected"),
    [
        pytest.param("chat:m", {}, Metering(Api.CHAT, 4096), id="chat"),
        pytest.param("completions:m", {"max_tokens": 5}, Metering(Api.COMPLETIONS, 5), id="most"),
        pytest.param("ollama-generate:m", {}, Metering(Api.OLLAMA, 4096), id="ollama"),
        pytest.param("ollama-embed:m", {}, Metering(Api.EMBEDDINGS, 4096), id="ollamas-embeddings"),
        pytest.param(
            "chat:m", {"price": {"input": 1, "output": 2}}, Metering(Api.CHAT, 4096, 10**6, 2 * 10**6), id="price"
        ),
        pytest.param(
            "chat:m", {"upstream": "hosted"}, Metering(Api.CHAT, 4096, upstream_takes="", unnamed_as=NEWER),
            id="openai",
        ),
        pytest.param("completions:m", {"upstream": "hosted"}, Metering(Api.COMPLETIONS, 4096), id="openai-of-old"),
        pytest.param(
            "chat:m", {"upstream": "hosted", "fallback": [{"upstream": "local"}]}, Metering(Api.CHAT, 4096),
            id="who-may-answer-knows-the-older-name",
        ),
        pytest.param(
            "chat:m", {"upstream_takes": "either"}, Metering(Api.CHAT, 4096, upstream_takes="", unnamed_as=NEWER),
            id="either",
        ),
        pytest.param("chat:m", {"request_usage": False}, Metering(Api.CHAT, 4096, request_usage=False), id="unasked"),
    ],
)  # fmt: skip
def test_tokens_are_counted(route: str, written: dict[str, Any], expected: Metering) -> None:
    assert metering(route, **written) == expected


@pytest.mark.parametrize(
    ("route", "written", "expected"),
    [
        pytest.param("chat:m", {}, '{"model":"m"}', id="its-name"),
        pytest.param("chat:m", {"upstream_model": "q4"}, '{"model":"q4"}', id="the-upstreams-name"),
        pytest.param("chat:m", {"set": {"seed": 5, "think": True}}, '{"model":"m","seed":5,"think":true}', id="set"),
        pytest.param(
            "ollama-chat:m", {"set": {"seed": 5, "think": True}}, '{"model":"m","options":{"seed":5},"think":true}',
            id="set-where-ollama-has-it",
        ),
        pytest.param("chat:m", {"upstream": "native"}, "", id="translated"),
        pytest.param("chat:m", {"fallback": [{"upstream": "hosted"}], "set": {"seed": 5}}, '{"seed":5}', id="fallible"),
    ],
)  # fmt: skip
def test_what_is_written_into_the_body(route: str, written: dict[str, Any], expected: str) -> None:
    """The name of the model where there is one target alone: the way to each of several writes its own."""
    assert routes(model(**written))[route].body_merge == expected


def test_parameters_are_refused_where_they_stand() -> None:
    found = routes(model(refuse=["logit_bias", "seed", "response_format"], above_max_tokens="clamp"))
    of_openai, of_ollama = found["chat:m"].model, found["ollama-chat:m"].model

    assert of_openai is not None
    assert of_ollama is not None
    assert (of_openai.dialect, of_openai.refused) == (Dialect.OPENAI, ("logit_bias", "response_format", "seed"))
    assert (of_ollama.dialect, of_ollama.refused) == (Dialect.OLLAMA, ("format", "options.seed"))
    assert of_openai.clamps


def test_what_holds_for_all_models_holds_for_each_route_of_theirs() -> None:
    llm = {
        "auth": ["bearer"],
        "require": {"scopes": ["llm"]},
        "allow_ips": ["10.0.0.0/8"],
        "body_limit": "16MiB",
        "cors": {"origins": ["https://chat.example.com"]},
        "response_headers": {"set": {"x-a": "b"}},
    }
    found = routes(model(), llm=llm, defaults={"auth": "none"})

    for name in ("chat:", "chat:m"):
        route = found[name]
        assert route.demand is not None
        assert (route.demand.accept, route.demand.scopes) == (("bearer",), ("llm",))
        assert (route.allow_ips, route.body_limit) == (("10.0.0.0/8",), 16 * 2**20)
        assert route.cors is not None
        assert route.cors.methods == ("POST",)
        assert route.response_headers.set == (("x-a", "b"),)


def test_upstreams_remember_their_api() -> None:
    found = compiled_models(with_models(model())).gateway.upstreams

    assert {item.name: item.api for item in found} == {name: item["api"] for name, item in MODEL_UPSTREAMS.items()}
