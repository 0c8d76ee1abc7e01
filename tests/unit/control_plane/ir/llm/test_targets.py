"""Who answers the calls of a model, in which order, at what price, and by which way."""

from typing import Any

import pytest

from control_plane.ir.model import Destination, Dialect, Retries, Rewrite, Target, Timeouts, Variant
from tests.support.models import MODEL_UPSTREAMS, compiled_models, model, routes_of, with_models

OPENAI, OLLAMA = Dialect.OPENAI, Dialect.OLLAMA


def call(written: dict[str, Any], route: str, *others: dict[str, Any], **changes: Any) -> tuple[Any, Any]:
    """The call of a route, and where its requests go."""
    found = routes_of(compiled_models(with_models(written, *others, **changes)))[route]
    return found.model, found.forward


def clusters(written: dict[str, Any], route: str, *others: dict[str, Any]) -> list[list[str]]:
    found, _ = call(written, route, *others)
    return [[target.cluster for target in group] for group in found.targets]


@pytest.mark.parametrize(
    ("upstream", "route", "expected"),
    [
        pytest.param("local", "chat:m", "local", id="openai-to-ollama"),
        pytest.param("local", "ollama-chat:m", "local", id="ollama-to-ollama"),
        pytest.param("hosted", "chat:m", "hosted", id="openai-to-openai"),
        pytest.param("hosted", "ollama-chat:m", "llm:hosted:m~ollama", id="ollama-to-openai"),
        pytest.param("native", "chat:m", "llm:native:m~openai", id="openai-to-native"),
        pytest.param("native", "ollama-embed:m", "native", id="ollama-to-native"),
    ],
)
def test_a_single_target_that_speaks_the_dialect_is_asked_at_its_own_cluster(
    upstream: str, route: str, expected: str
) -> None:
    assert clusters(model(upstream=upstream), route) == [[expected]]


def test_fallbacks_are_asked_one_after_the_other_each_at_its_price() -> None:
    written = model(
        upstream_model="q4",
        price={"input": 1, "output": 2},
        fallback=["big", {"upstream": "native", "model": "x", "price": {"input": 3}}, {"upstream": "native"}],
    )
    found, forward = call(written, "chat:m", model("big", "hosted", price={"input": 5, "output": 6}, fallback=["m"]))

    assert found.targets == (
        (Target("llm:local:q4~openai~failover", "local", "q4", 1, 10**6, 2 * 10**6),),
        (Target("llm:hosted:big~openai~failover", "hosted", "big", 1, 5 * 10**6, 6 * 10**6),),
        (Target("llm:native:x~openai~failover", "native", "x", 1, 3 * 10**6, 0),),
        (Target("llm:native:q4~openai~failover", "native", "q4", 1, 10**6, 2 * 10**6),),
    )
    assert forward.destinations == (Destination("llm:local:q4~openai~failover"),)
    assert forward.fallback == (
        (Destination("llm:hosted:big~openai~failover", 1, "api.example.com"),),
        (Destination("llm:native:x~openai~failover"),),
        (Destination("llm:native:q4~openai~failover"),),
    )
    assert forward.retries == Retries(
        3, ("5xx", "connect-failure", "refused-stream", "reset"), (401, 402, 429), ("POST",), None, 0.025, 0.25
    )


def test_weighted_targets_are_one_group_without_those_of_no_weight() -> None:
    shares = [{"name": "native", "weight": 3}, {"name": "local", "model": "l"}, {"name": "hosted", "weight": 0}]

    assert clusters(model(upstream=shares), "chat:m") == [["llm:local:l~openai", "llm:native:m~openai"]]


def test_a_model_whose_only_fallback_is_unknown_yet_has_none() -> None:
    written = with_models(model(fallback=["soon"]), discovery={"upstreams": ["local"]})
    found = routes_of(compiled_models(written))["chat:m"].model

    assert found is not None
    assert [target.cluster for group in found.targets for target in group] == ["local"]


@pytest.mark.parametrize(
    ("url", "api", "openai", "ollama"),
    [
        pytest.param("http://127.0.0.1:1", "ollama", None, None, id="ollama"),
        pytest.param("http://127.0.0.1:1/v1", "ollama", None, None, id="ollama-with-the-path-of-its-api"),
        pytest.param("http://127.0.0.1:1/gpu/v1", "ollama", "/gpu/v1", "/gpu/api", id="ollama-below-a-path"),
        pytest.param("http://127.0.0.1:1/gpu", "ollama", "/gpu/v1", "/gpu/api", id="ollama-below-a-path-alone"),
    ],
)
def test_the_path_of_an_address_stands_in_place_of_the_beginning(
    url: str, api: str, openai: str | None, ollama: str | None
) -> None:
    upstreams = {"local": {"url": url, "api": api}}
    found = routes_of(compiled_models(with_models(model(), upstreams=upstreams)))
    rewrites = [found[name].forward for name in ("chat:m", "ollama-chat:m")]

    assert [item.rewrite for item in rewrites if item is not None] == [
        Rewrite() if openai is None else Rewrite(f"{openai}/chat/completions"),
        Rewrite() if ollama is None else Rewrite(f"{ollama}/chat"),
    ]


def test_openais_path_is_that_of_the_address() -> None:
    _, forward = call(model(upstream="hosted"), "embeddings:m")

    assert forward.rewrite == Rewrite("/openai/v1/embeddings")


def test_variants_say_how_the_upstream_is_reached() -> None:
    """The path is that of the dialect which arrives there."""
    content = with_models(model(upstream="native", apis=["chat"]), model("o", "hosted", fallback=["m"], apis=["chat"]))
    llm = compiled_models(content).gateway.llm

    assert llm is not None
    assert llm.variants == (
        Variant(
            "llm:hosted:o~ollama~failover",
            "hosted",
            "o",
            ("/v1", "/openai/v1"),
            (OLLAMA, "openai"),
            fallible=True,
            takes="max_completion_tokens",
        ),
        Variant("llm:hosted:o~openai~failover", "hosted", "o", ("/v1", "/openai/v1"), None, fallible=True),
        Variant("llm:native:m~ollama~failover", "native", "m", ("/api", "/api"), None, fallible=True),
        Variant("llm:native:m~openai", "native", "m", ("/api", "/api"), (OPENAI, "ollama-native"), fallible=False),
        Variant(
            "llm:native:m~openai~failover", "native", "m", ("/api", "/api"), (OPENAI, "ollama-native"), fallible=True
        ),
    )


def test_no_two_variants_have_one_name_whatever_models_are_called() -> None:
    names = ("a", "a:failover", "a:openai", "a:openai:failover")
    models = [model(name, "native", fallback=[{"upstream": "hosted"}]) for name in names]
    llm = compiled_models(with_models(*models)).gateway.llm

    assert llm is not None
    assert len({item.name for item in llm.variants}) == len({(item.upstream, item.model, item.path, item.translates)
                                                             for item in llm.variants})  # fmt: skip


@pytest.mark.parametrize(
    ("of_model", "of_upstream", "of_all", "expected"),
    [
        pytest.param({}, {}, {}, Timeouts(None, 120, 120, None), id="defaults"),
        pytest.param({}, {}, {"timeout": "5s"}, Timeouts(None, 5, 60, None), id="of-all"),
        pytest.param({}, {"timeout": "7s"}, {"timeout": "5s"}, Timeouts(None, 7, 60, None), id="of-the-upstream"),
        pytest.param({"timeout": "9s"}, {"timeout": "7s"}, {}, Timeouts(None, 9, 60, None), id="of-the-model"),
        pytest.param(
            {"timeout": "50s", "fallback": [{"upstream": "hosted"}]},
            {},
            {"max_duration": "1h"},
            Timeouts(None, 50, 100, 3600),
            id="a-client-hears-nothing-while-two-are-asked",
        ),
    ],
)
def test_timeouts(of_model: Any, of_upstream: Any, of_all: Any, expected: Timeouts) -> None:
    upstreams = {**MODEL_UPSTREAMS, "local": {**MODEL_UPSTREAMS["local"], **of_upstream}}
    _, forward = call(model(**of_model), "chat:m", upstreams=upstreams, llm=of_all)

    assert forward.timeouts == expected


def test_without_a_fallback_the_upstreams_own_retries_hold() -> None:
    retries = {"attempts": 2, "on": ["connect-failure"], "methods": ["POST"]}
    upstreams = {"local": {**MODEL_UPSTREAMS["local"], "retries": retries}}
    _, forward = call(model(), "chat:m", upstreams=upstreams)

    assert forward.retries == Retries(2, ("connect-failure",), (), ("POST",), None, 0.025, 0.25)


HASHED = {"load_balancing": {"policy": "maglev", "hash_by": "header x-session"}}


def test_a_variant_tells_endpoints_apart_as_its_own_upstream_does() -> None:
    """Whatever stands at those that are asked before."""
    upstreams = {**MODEL_UPSTREAMS, "hosted": {**MODEL_UPSTREAMS["hosted"], **HASHED}}
    content = with_models(model(fallback=[{"upstream": "hosted"}], apis=["chat"]), upstreams=upstreams)
    llm = compiled_models(content).gateway.llm

    assert llm is not None
    assert {item.upstream: item.hash_by for item in llm.variants} == {"local": None, "hosted": "header x-session"}


@pytest.mark.parametrize(
    ("written", "name", "takes"),
    [
        pytest.param({}, "llm:hosted:m~ollama", "max_completion_tokens", id="openais-as-it-is"),
        pytest.param({"upstream_takes": "max_tokens"}, "llm:hosted:m~ollama~max_tokens", "max_tokens", id="the-older"),
        pytest.param({"upstream_takes": "either"}, "llm:hosted:m~ollama~either", "max_completion_tokens", id="either"),
    ],
)
def test_by_which_name_a_translated_call_bounds_its_answer(written: dict[str, Any], name: str, takes: str) -> None:
    (variant,) = compiled_models(with_models(model(upstream="hosted", **written))).gateway.llm.variants

    assert (variant.name, variant.takes) == (name, takes)


@pytest.mark.parametrize(
    ("written", "name", "asks"),
    [
        pytest.param({"upstream": "hosted"}, "llm:hosted:m~ollama~unasked", False, id="translated-to-openais"),
        pytest.param({"upstream": "native"}, "llm:native:m~openai", True, id="ollamas-tells-it-always"),
    ],
)
def test_a_translator_is_told_not_to_ask_for_usage(written: dict[str, Any], name: str, asks: bool) -> None:
    upstreams = {**MODEL_UPSTREAMS, "native": {"url": "http://127.0.0.1:9003", "api": "ollama-native"}}
    content = with_models(model(request_usage=False, **written), upstreams=upstreams)
    (variant,) = compiled_models(content).gateway.llm.variants

    assert (variant.name, variant.asks_usage) == (name, asks)
