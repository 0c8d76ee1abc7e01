"""What an admin hears of although it is enforced."""

import time

import pytest

from tests.support.certificates import Authority
from tests.support.compiled import IDENTITY, compiled, config, route
from tests.support.models import MODEL_UPSTREAMS, model, with_models

DAY = 86_400
AUTHORITY = Authority()
PAIR = dict(zip(("certificate", "private_key"), AUTHORITY.issue("gateway"), strict=True))
VERIFIED = {"ca": AUTHORITY.pem, **PAIR}


@pytest.mark.parametrize(
    ("tls", "days", "expected"),
    [
        pytest.param(VERIFIED, 0, [], id="nothing"),
        pytest.param(VERIFIED, 3, ["a certificate expired on"] * 2, id="expired"),
        pytest.param(VERIFIED, -60, ["a certificate is valid only from"] * 2, id="of the future"),
        pytest.param({"verify": False}, 0, ["its certificate is not verified"], id="unverified"),
    ],
)
def test_doubtful_upstreams(tls, days, expected) -> None:
    checked = compiled(config(upstreams={"api": {"url": "https://10.0.0.1", "tls": tls}}))
    found = checked.warnings(time.time() + days * DAY)

    assert len(found) == len(expected)
    assert all(words in text for words, text in zip(expected, found, strict=True))
    assert all("gateway.yaml:" in text and "upstreams.api.tls." in text for text in found)


def test_a_listener_whose_certificate_has_expired() -> None:
    checked = compiled(config(listeners={"public": {"address": "127.0.0.1:8800", "tls": PAIR}}))

    (found,) = checked.warnings(time.time() + 3 * DAY)
    assert "listeners.public.tls.certificate" in found


@pytest.mark.parametrize(("auth", "warned"), [("none", True), (["bearer"], False)], ids=["public", "authorized"])
def test_answers_that_anybody_may_heap_up(auth, warned) -> None:
    kept = route(auth=auth, cache={"shared": True})
    found = compiled(config(identity=IDENTITY, routes=[kept])).warnings(time.time())

    assert [("routes[0].cache" in text) for text in found] == [True] * warned


PRIVATE = route("admin", "/admin/*", auth=["bearer"])


@pytest.mark.parametrize(
    ("match", "warned"),
    [
        pytest.param({"path": "/{tenant}/{page}/{part}"}, True, id="template"),
        pytest.param({"path": "/{tenant}"}, True, id="template-of-the-prefix-itself"),
        pytest.param({"path": "/shop/{page}"}, False, id="template-elsewhere"),
        pytest.param({"path_regex": r"/.*\.css"}, True, id="expression"),
        pytest.param({"path_regex": r"/static/.*\.css"}, False, id="expression-elsewhere"),
        pytest.param({"path": "/*"}, False, id="prefix-that-is-wider"),
        pytest.param({"path": "/{tenant}/x", "hosts": ["other.example.com"]}, False, id="another-host"),
    ],
)
def test_a_public_route_that_opens_a_private_prefix(match, warned) -> None:
    private = {**PRIVATE, "match": {**PRIVATE["match"], "hosts": ["api.example.com"]}}
    public = {**route("open"), "match": match}
    found = compiled(config(identity=IDENTITY, routes=[private, public])).warnings(time.time())

    assert [("routes[1].match" in text and "'admin'" in text) for text in found] == [True] * warned


def test_what_other_gateways_take_for_a_variable() -> None:
    (found,) = compiled(config(routes=[route(path="/users/:id")])).warnings(time.time())

    assert "routes[0].match.path" in found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"plans": {"free": {"models": ["m", "*"]}}}, [], id="patterns-that-mean-one"),
        pytest.param({"plans": {"free": {"models": ["n:*", "n", "m"]}}}, [], id="patterns-of-what-may-come"),
        pytest.param({"llm": {"default_model": "n"}}, ["llm.default_model"], id="a-default-that-may-come"),
        pytest.param({"models": [model(fallback=["n"])]}, ["models[0].fallback[0]"], id="a-fallback-that-may-come"),
        pytest.param({"models": [model(fallback=["p"]), model("p", price={"input": 1})]}, ["models[0].fallback[0]"],
                     id="a-model-that-costs-nothing"),
        pytest.param({"models": [model(fallback=["p"]), model("p")]}, [], id="models-that-cost-alike"),
        pytest.param({"plans": {"free": {"limits": [{"tokens": "50/minute"}]}}}, ["models[0]"], id="too-long-of-plan"),
        pytest.param({"llm": {"limits": [{"tokens": "50/minute"}]}}, ["models[0]"], id="too-long-for-all"),
        pytest.param({"models": [model(limits=[{"tokens": "50/minute"}])]}, ["models[0]"], id="too-long-for-itself"),
        pytest.param({"models": [model(limits=[{"tokens": "50/minute"}], max_tokens=50)]}, [], id="short-enough"),
        pytest.param({"llm": {"limits": [{"requests": "5/minute", "per": "tenant"}]}}, ["llm.limits[0]"], id="nobody"),
    ],
)  # fmt: skip
def test_doubtful_models(changes, expected) -> None:
    unnamed = {"upstreams": {"local": MODEL_UPSTREAMS["local"]}}
    content = with_models(model(), **{**unnamed, "discovery": {"upstreams": ["local"]}, **changes})
    found = compiled(content).warnings(time.time())

    assert [text.partition("(")[2].partition(")")[0] for text in found] == expected


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        pytest.param({}, True, id="by-nobody"),
        pytest.param({"models": [model(upstream="far")]}, False, id="by-a-model"),
        pytest.param({"models": [model(upstream=[{"name": "far"}, {"name": "near"}])]}, False, id="by-a-weight"),
        pytest.param({"models": [model(upstream="near", fallback=[{"upstream": "far"}])]}, False, id="by-a-fallback"),
        pytest.param({"discovery": {"upstreams": ["near", "far"]}}, False, id="by-discovery"),
        pytest.param({"api": "ollama"}, False, id="by-nobody-and-it-says-where-health-is"),
        pytest.param({"api": "ollama", "health_check": {"path": "/up"}}, True, id="by-nobody-and-health-is-elsewhere"),
        pytest.param({"api": "ollama", "health_check": "none"}, True, id="by-nobody-and-health-is-not-asked"),
    ],
)
def test_an_api_of_an_upstream_that_is_named(changes, warned) -> None:
    far = {"url": "http://10.0.0.1", "api": "openai"} | {
        key: changes[key] for key in ("api", "health_check") if key in changes
    }
    others = {key: value for key, value in changes.items() if key not in far}
    upstreams = {"near": {"url": "http://10.0.0.2", "api": "ollama"}, "far": far}
    found = compiled(with_models(model(upstream="near"), **{"upstreams": upstreams, **others})).warnings(time.time())

    assert ["(upstreams.far.api)" in text for text in found] == [True] * warned


SITE = {"upstreams": {"local": MODEL_UPSTREAMS["local"], "email": {"url": "http://127.0.0.1:9001"}}}


@pytest.mark.parametrize(
    ("match", "taken"),
    [
        pytest.param({"path": "/v1/*", "hosts": ["a.test"]}, "/v1/chat/completions", id="prefix"),
        pytest.param({"path": "/api/*", "hosts": ["a.test"]}, "/api/chat", id="prefix-of-ollamas"),
        pytest.param({"path": "/{a}/{b}", "hosts": ["*.a.test"]}, "/v1/completions", id="template"),
        pytest.param({"path": "/v1/*", "hosts": ["a.test"], "methods": ["GET"]}, None, id="in-another-method"),
        pytest.param({"path": "/v1/files/*", "hosts": ["a.test"]}, None, id="beside"),
        pytest.param({"path": "/*", "hosts": ["a.test"]}, None, id="another-site"),
        pytest.param({"path": "/v1/*"}, None, id="on-any-host-it-loses"),
    ],
)
def test_a_route_that_wins_over_calls_of_models_on_its_hosts(match, taken) -> None:
    content = with_models(model(), routes=[{"name": "site", "match": match, "upstream": "email"}], **SITE)
    found = compiled(content).warnings(time.time())

    assert [f"{taken!r}: no model is called there (routes[0].match.hosts)" in text for text in found] == [
        True for _ in found
    ]
    assert len(found) == (taken is not None)


@pytest.mark.parametrize(
    ("written", "changes", "expected"),
    [
        pytest.param({}, {}, [("upstream", "nobody counts the tokens")], id="uncounted"),
        pytest.param({"upstream": [{"name": "email", "weight": 9}, {"name": "local", "weight": 1}]}, {},
                     [("upstream", "")], id="now-and-then"),
        pytest.param({"tokens": {"most": 100}}, {}, [], id="counted"),
        pytest.param({"tokens": {"most": 100}}, {"plans": {"free": {"models": ["m"]}}}, [("upstream", "whatever")],
                     id="counted-past-what-plans-may-call"),
        pytest.param({"upstream": "email", "mirror": {"upstream": "local"}}, {}, [("mirror", "copies")], id="copies"),
        pytest.param({"match": {"path": "/raw", "methods": ["GET"]}}, {}, [], id="no-call"),
        pytest.param({"upstream": "email"}, {}, [], id="elsewhere"),
    ],
)  # fmt: skip
def test_ways_past_the_models(written, changes, expected) -> None:
    raw = {"name": "raw", "match": {"path": "/raw/chat/completions"}, "upstream": "local", **written}
    found = compiled(with_models(model(), routes=[raw], **{**SITE, **changes})).warnings(time.time())

    assert len(found) == len(expected)
    assert all(
        f"(routes[0].{key})" in text and words in text for (key, words), text in zip(expected, found, strict=True)
    )


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        pytest.param({"url": "http://10.0.0.1"}, [], id="plain"),
        pytest.param({"url": "http://10.0.0.1", "protocol": "http2"}, ["by HTTP/1.1"], id="http2"),
        pytest.param({"url": "https://10.0.0.1", "protocol": "http2"}, [], id="http2 that is agreed upon"),
        pytest.param({"kubernetes": {"service": "gpu", "port": 80}}, [], id="service"),
        pytest.param(
            {"kubernetes": {"service": "gpu", "port": 11434}},
            ["it is asked for its models at http://gpu.default.svc:80, and its pods listen on port 11434"],
            id="service with another port",
        ),
        pytest.param({"kubernetes": {"service": "gpu", "port": "api"}}, ["pods listen on port api"], id="named port"),
    ],
)
def test_upstreams_that_may_not_be_found_where_they_are_asked_for_models(upstream, expected) -> None:
    said = config(
        upstreams={"gpu": {**upstream, "api": "ollama"}}, discovery={"upstreams": ["gpu"]}, llm={"auth": "none"}
    )
    found = compiled(said).warnings(time.time())

    assert len(found) == len(expected)
    assert all(words in text for words, text in zip(expected, found, strict=True))
