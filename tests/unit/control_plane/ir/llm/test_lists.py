"""What is answered about models, and to whom."""

import json
import re
from typing import Any

import pytest
import re2

from control_plane.checked import meant
from control_plane.ir.build import Builder
from control_plane.ir.model import Asked, DirectResponse, PathKind, Route
from service_kit.version import installed_version
from tests.support.compiled import compiled
from tests.support.models import compiled_models, found_models, model, routes_of, with_models

PLANS = {"free": {"models": ["llama*"]}, "pro": {"models": ["*"]}, "all": {}, "none": {"models": []}}


def routes(*models: dict[str, Any], **changes: Any) -> dict[str, Route]:
    return routes_of(compiled_models(with_models(*models, **changes)))


def body(route: Route) -> Any:
    assert isinstance(route.action, DirectResponse)
    assert route.action.content_type == "application/json"
    return json.loads(route.action.body)


def status(route: Route) -> int:
    assert isinstance(route.action, DirectResponse)
    return route.action.status


def ids(route: Route) -> list[str]:
    return [item["id"] for item in body(route)["data"]]


def test_plans_that_may_call_the_same_see_the_same() -> None:
    found = routes(model("llama3"), model("gpt"), plans=PLANS)

    assert {name: route.of_plans for name, route in found.items() if name.startswith("models:")} == {
        "models:": (), "models:all": ("all", "pro"), "models:free": ("free",),
    }  # fmt: skip
    assert ids(found["models:all"]) == ["gpt", "llama3"]
    assert ids(found["models:free"]) == ["llama3"]
    assert ids(found["models:"]) == []
    assert [item["name"] for item in body(found["tags:all"])["models"]] == ["gpt", "llama3"]


def test_who_has_no_plan_sees_what_everybody_may_call() -> None:
    found = routes(model("llama3"), model("gpt"), plans={"free": {"models": ["llama*"]}, "pro": {}})

    assert ids(found["models:"]) == ["llama3"]
    assert found["models:pro"].of_plans == ("pro",)


def test_one_list_for_all_needs_no_plan() -> None:
    found = routes(model(), plans={"free": {}})

    assert found["models:"].of_plans is None
    assert ids(found["models:"]) == ["m"]


def test_calls_are_for_the_plans_that_name_the_model() -> None:
    found = routes(model("llama3"), model("gpt"), plans=PLANS)

    assert found["chat:llama3"].model.plans == ("all", "free", "pro")  # type: ignore[union-attr] - a call of a model
    assert found["show:gpt"].of_plans == found["card:gpt"].of_plans == ("all", "pro")
    assert found["card:"].of_plans == ()


def test_a_model_says_how_a_key_may_name_it() -> None:
    found = routes(model("a/b"))["chat:a/b"].model

    assert found is not None
    assert found.spellings == ("*", "*/b", "*a/b", "*b", "a*", "a/*", "a/b", "a/b*")


def test_public_models_are_everybodys() -> None:
    found = routes(model(), llm={"auth": "none"}, plans={"free": {}})

    assert {route.of_plans for route in found.values()} == {None}
    assert {route.demand for route in found.values()} == {None}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/org/m@2:8b+x",
        "/v1/models/org%2Fm@2:8b+x",
        "/v1/models/org%2fm%402%3A8b%2Bx",
        "/v1/models/org%2fm@2%3a8b%2bx",
        "/v1/models/short",
    ],
)
def test_a_model_is_found_however_a_client_spells_it(path: str) -> None:
    found = routes(model("org/m@2:8b+x", aliases=["short"]))["card:org/m@2:8b+x"]

    assert found.path.kind is PathKind.REGEX
    assert re2.fullmatch(found.path.text, path)
    assert body(found) == {"id": "org/m@2:8b+x", "object": "model", "created": 0, "owned_by": "ollama"}


@pytest.mark.parametrize("path", ["/v1/models/orgxm", "/v1/models/m.8", "/v1/models/xm.8b", "/v1/models/mx8b"])
def test_other_names_find_nothing(path: str) -> None:
    found = routes(model("m.8b"))

    assert not re2.fullmatch(found["card:m.8b"].path.text, path)
    assert (status(found["card:"]), body(found["card:"])["error"]["code"]) == (404, "model_not_found")
    assert list(found).index("card:m.8b") < list(found).index("card:")


def test_what_an_upstream_tells_of_a_model_is_told_on_under_our_name() -> None:
    tag = {"name": "theirs", "model": "theirs", "size": 5, "digest": "abc", "details": {"family": "llama"}}
    found = found_models(
        "theirs", created=86400, owner="meta", context=8192, tag=json.dumps(tag), details='{"capabilities":["tools"]}'
    )
    content = with_models(model("ours", upstream_model="theirs"), discovery={"upstreams": ["local"]})
    told = routes_of(compiled_models(content, {"local": found}))

    assert body(told["card:ours"]) == {
        "id": "ours", "object": "model", "created": 86400, "owned_by": "meta", "context_length": 8192,
    }  # fmt: skip
    assert body(told["tags:"])["models"][0] == {
        **tag, "name": "ours", "model": "ours", "modified_at": "1970-01-02T00:00:00Z",
    }  # fmt: skip
    assert body(told["show:ours"])["capabilities"] == ["tools"]


def test_of_a_model_that_nobody_describes_ollamas_clients_find_what_they_need() -> None:
    tag = body(routes(model())["tags:"])["models"][0]

    assert re.fullmatch("[0-9a-f]{64}", tag["digest"])  # the command line cuts twelve signs off it
    assert tag["modified_at"] == "1970-01-01T00:00:00Z"
    assert body(routes(model(apis=["embeddings"]))["show:m"])["capabilities"] == ["embedding"]


def test_what_ollamas_clients_ask_for_is_asked_by_name() -> None:
    found = routes(model(aliases=["a"]))

    assert found["show:m"].asked == Asked(("a", "m"))
    assert (found["show:"].asked, status(found["show:"])) == (Asked(), 404)
    assert "version" in body(found["version:"])
    assert body(found["running:"]) == {"models": []}


@pytest.mark.parametrize("word", ["pull", "push", "create", "copy", "delete", "blobs"])
def test_nobody_changes_the_models_of_an_upstream(word: str) -> None:
    found = routes(model())[f"not-offered:{word}"]

    assert (status(found), found.methods, found.path.text) == (403, (), f"/api/{word}")
    assert "not offered" in body(found)["error"]


def test_what_this_is_may_be_asked_by_everybody() -> None:
    found = routes(model(apis=["chat"]), model("v", apis=["embeddings"]), plans={"none": {"models": []}})["metadata:"]

    assert found.demand is None
    assert body(found) == {
        "object": "gateway",
        "gateway": "tollgate",
        "version": installed_version(),
        "dialects": ["ollama", "openai"],
        "capabilities": ["chat", "embeddings"],
        "endpoints": [
            "/api/chat", "/api/embed", "/api/embeddings", "/api/generate", "/api/ps", "/api/show", "/api/tags",
            "/api/version", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models",
        ],
        "models": [{"id": "m", "capabilities": ["chat"]}, {"id": "v", "capabilities": ["embeddings"]}],
    }  # fmt: skip


def test_everybody_learns_what_models_there_are_and_neither_who_answers_nor_what_it_costs() -> None:
    priced = model("m", "hosted", upstream_model="their-name", price={"input": 7.75}, aliases=["alias"])
    text = json.dumps(body(routes(priced)["metadata:"]))

    assert not [word for word in ("hosted", "their-name", "7.75", "7750000", "alias", "example.com") if word in text]


@pytest.mark.parametrize(
    ("match", "greets"),
    [
        pytest.param({"path": "/other/*"}, True, id="elsewhere"),
        pytest.param({"path": "/{name}"}, True, id="a segment"),
        pytest.param({"path": "/*", "hosts": ["site.example.com"]}, True, id="on a host of its own"),
        pytest.param({"path": "/"}, False, id="there"),
        pytest.param({"path": "/", "methods": ["POST"]}, False, id="there in one way"),
        pytest.param({"path": "/*"}, False, id="everywhere"),
        pytest.param({"path_regex": "/(index)?"}, False, id="by an expression"),
        pytest.param({"path_regex": "/[h-u].*"}, True, id="by another expression"),
    ],
)
def test_who_looks_for_an_ollama_finds_one_where_no_route_is_written(match: dict[str, Any], greets: bool) -> None:
    written = {"name": "site", "match": match, "respond": {"status": 204}}
    checked = compiled_models(with_models(model(), routes=[written]))
    found = routes_of(checked)

    assert ("greeting:" in found) is greets
    assert not [text for text in checked.warnings(0) if "routes" in text]


def test_what_who_looks_for_an_ollama_finds() -> None:
    found = routes(model())["greeting:"]

    assert (found.path.text, found.methods, found.demand) == ("/", ("GET", "HEAD"), None)
    assert found.action == DirectResponse(200, "Ollama is running", "text/plain; charset=utf-8")


def test_an_edit_of_routes_takes_the_greeting_and_gives_it_back() -> None:
    builder = Builder()
    bare = with_models(model())
    taken = {**bare, "routes": [{"name": "site", "match": {"path": "/*"}, "respond": {"status": 204}}]}
    seen = ["greeting:" in routes_of(meant(compiled(content).loaded, builder)) for content in (bare, taken, bare)]

    assert seen == [True, False, True]


def test_without_ollamas_clients_there_are_openais_lists_alone() -> None:
    found = routes(model(), llm={"ollama": False})

    assert {name for name, route in found.items() if isinstance(route.action, DirectResponse)} == {
        "models:", "card:", "card:m", "metadata:",
    }  # fmt: skip
