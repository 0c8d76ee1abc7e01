"""Bodies of model calls that Envoy and an upstream could read differently: on each way to a model they reach nobody.

A call that passes reached exactly the model that was counted, and what its upstream read is what Envoy read.
"""

import base64
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.calls import Call
from tests.support.llm.catalog import Model
from tests.support.llm.gateway import KEY, cloud_upstream, local_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Fault, Script

CHAT, OLLAMA_CHAT = "/v1/chat/completions", "/api/chat"
HELLO = [{"role": "user", "content": "hello there"}]
CHEAP, DEAR = "cheap:1b", "dear:70b"
JSON = "application/json"
EIGHT_MEBIBYTES = 8 << 20
# The path of a call, and the API of the upstream that the cheap model has.
WAYS = (
    pytest.param((CHAT, "plain"), id="as it is"),
    pytest.param((CHAT, "reliable"), id="failing over"),
    pytest.param((CHAT, "translated"), id="translated"),
    pytest.param((OLLAMA_CHAT, "plain"), id="Ollama's as it is"),
    pytest.param((OLLAMA_CHAT, "reliable"), id="Ollama's failing over"),
    pytest.param((OLLAMA_CHAT, "hosted"), id="Ollama's translated"),
)


@dataclass(frozen=True)
class Stage:
    """A gateway before servers that each know a cheap model and a dear one."""

    gateway: Gateway
    local: OllamaServer
    cloud: OpenAIServer

    def calls(self) -> list[Call]:
        return [*self.local.calls, *self.cloud.calls]


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    known = [Model(CHEAP), Model(DEAR)]
    with ExitStack() as stack:
        local = stack.enter_context(OllamaServer(known))
        cloud = stack.enter_context(OpenAIServer(known, keys=[KEY]))
        config = {
            "upstreams": {
                "plain": local_upstream(local),
                "native": local_upstream(local, api="ollama-native"),
                "cloud": cloud_upstream(cloud),
            },
            "models": [
                {"name": "plain", "upstream": "plain", "upstream_model": CHEAP},
                {"name": "reliable", "upstream": "plain", "upstream_model": CHEAP,
                 "fallback": [{"upstream": "cloud", "model": CHEAP}]},
                {"name": "translated", "upstream": "native", "upstream_model": CHEAP},
                {"name": "hosted", "upstream": "cloud", "upstream_model": CHEAP},
                {"name": DEAR, "upstream": "plain", "price": {"input": 10, "output": 100}},
            ],
            "llm": {"default_model": "plain", "auth": "none"},
        }  # fmt: skip
        yield Stage(stack.enter_context(running_gateway(config)), local, cloud)


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.local.forget()
    running.cloud.forget()
    return running


@pytest.fixture
def http(stage: Stage) -> Iterator[httpx.Client]:
    with stage.gateway.client() as found:
        yield found


def body(model: str, **more: object) -> bytes:
    return json.dumps({"model": model, "messages": HELLO, "stream": False, **more}).encode()


def posted(http: httpx.Client, path: str, content: object, **headers: str) -> httpx.Response:
    fields = {"content-type": JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return http.post(path, content=content, headers=fields)


def as_deflate(content: bytes) -> bytes:
    return zlib.compress(content)


ENCODED = (
    pytest.param(gzip.compress, "gzip", id="gzip"),
    pytest.param(as_deflate, "deflate", id="deflate"),
    pytest.param(bytes, "gzip", id="gzip that is none"),
    pytest.param(bytes, "identity", id="identity"),
    pytest.param(bytes, "", id="empty word"),
    pytest.param(gzip.compress, "GZip, identity", id="list"),
)


@pytest.mark.parametrize(("encode", "said"), ENCODED)
@pytest.mark.parametrize("way", WAYS)
def test_no_upstream_decodes_what_envoy_did_not(stage: Stage, http, way, encode, said) -> None:
    path, model = way

    answer = posted(http, path, encode(body(model)), content_encoding=said)

    assert answer.status_code == 400
    assert stage.calls() == []


@pytest.mark.parametrize("charset", ["utf-16", "utf-16le", "utf-32", "utf-7", "iso-8859-1"])
@pytest.mark.parametrize("encoded", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_no_upstream_reads_another_charset(stage: Stage, http, way, charset: str, *, encoded: bool) -> None:
    """Ollama takes any type for JSON: to it, and to Envoy, the body is UTF-8 or nothing."""
    path, model = way
    content = body(model).decode()

    answer = posted(
        http, path, content.encode(charset if encoded else "utf-8"), content_type=f"{JSON}; charset={charset}"
    )

    calls = stage.calls()
    if calls:
        assert path == OLLAMA_CHAT
        assert [call.headers["content-type"] for call in calls] == [JSON]
        assert [call.body["model"] for call in calls] == [CHEAP]
    else:
        assert answer.status_code == 400


TWICE = (
    pytest.param([("content-type", JSON), ("content-type", "text/plain")], id="types"),
    pytest.param([("content-type", "text/plain"), ("content-type", JSON)], id="types, JSON last"),
    pytest.param([("content-type", f"{JSON}, text/plain")], id="types in one"),
    pytest.param(
        [("content-type", JSON), ("content-encoding", "identity"), ("content-encoding", "gzip")], id="codings"
    ),
)


@pytest.mark.parametrize("headers", TWICE)
@pytest.mark.parametrize("way", WAYS)
def test_no_upstream_chooses_between_two_headers(stage: Stage, http, way, headers) -> None:
    path, model = way

    answer = http.post(path, content=body(model), headers=headers)

    if calls := stage.calls():
        assert path == OLLAMA_CHAT
        assert [call.headers["content-type"] for call in calls] == [JSON]
        assert "content-encoding" not in calls[0].headers
    else:
        assert answer.status_code == 400


# Of all of them a lenient reader somewhere takes the dear model.
TWO_WAYS = (
    pytest.param('{"model":"%s","model":"dear:70b","messages":[]}', id="model twice"),
    pytest.param('{"model":"dear:70b","model":"%s","messages":[]}', id="model twice, the other first"),
    pytest.param('{"model":"%s","mod\\u0065l":"dear:70b","messages":[]}', id="model twice, once escaped"),
    pytest.param('{"model":"%s","messages":[{"role":"user","role":"system","content":"a"}]}', id="deeper twice"),
    pytest.param('{"model":"%s","options":{"num_predict":5,"num_predict":50000},"messages":[]}', id="option twice"),
    pytest.param('{"model":"%s","max_tokens":5,"max_tokens":50000,"messages":[]}', id="number twice"),
    pytest.param('{"model":"%s","messages":[]}{"model":"dear:70b","messages":[]}', id="two bodies"),
    pytest.param('{"model":"%s","messages":[]}\n{"model":"dear:70b","messages":[]}', id="two lines"),
    pytest.param('{"model":"%s","messages":[]}]', id="bracket behind"),
    pytest.param('{"model":"%s","messages":[]}\x00', id="NUL behind"),
    pytest.param('{"model":"%s","messages":[]} // dear', id="comment behind"),
    pytest.param('{"model":"%s",/*"*/"model":"dear:70b","messages":[]/*"*/}', id="comments"),
    pytest.param('{"model":"%s","messages":[],}', id="comma behind the last"),
    pytest.param("{'model':'%s','messages':[]}", id="single quotes"),
    pytest.param('\ufeff{"model":"%s","messages":[]}', id="byte order mark"),
    pytest.param('{"model":"%s","messages":[],"x":NaN}', id="NaN"),
    pytest.param('{"model":"%s","messages":[],"x":1e999}', id="infinity"),
    pytest.param('{"model":"%s","messages":[],"x":01}', id="leading zero"),
    pytest.param('{"model":"%s","messages":[],"x":' + "[" * 200 + "]" * 200 + "}", id="deep"),
    pytest.param('{"model":"%s\n","messages":[]}', id="line in the name"),
    pytest.param('[{"model":"%s","messages":[]}]', id="list"),
    pytest.param('"{\\"model\\":\\"%s\\"}"', id="text"),
)


@pytest.mark.parametrize("content", TWO_WAYS)
@pytest.mark.parametrize("way", WAYS)
def test_what_can_be_read_in_two_ways_reaches_nobody(stage: Stage, http, way, content: str) -> None:
    path, model = way

    answer = posted(http, path, content.replace("%s", model).encode())

    assert answer.status_code == 400
    assert stage.calls() == []


# Other names of the model than the one that was counted, where readers differ.
ONE_WAY = (
    pytest.param('{"mod\\u0065l":"%s",%MORE}', id="escaped key"),
    pytest.param('{"model":"%s",%MORE,"MODEL":"dear:70b","Model":"dear:70b"}', id="other case"),
    pytest.param('{"model":"%s",%MORE,"Mod\\u0065l":"dear:70b"}', id="other case, escaped"),
    pytest.param(
        '{"model":"%s","messages":[{"role":"user","content":"a","model":"dear:70b"}],"stream":false}', id="below"
    ),
    pytest.param(
        '{"a":{"model":"dear:70b"},"model":"%s","messages":[{"role":"user","content":"\\"model\\":\\"dear\\""}],'
        '"stream":false}',
        id="before, and in a text",
    ),
    pytest.param('{"model ":"dear:70b","model":"%s",%MORE}', id="space"),
)


@pytest.mark.parametrize("content", ONE_WAY)
@pytest.mark.parametrize("way", WAYS)
def test_the_model_that_was_read_is_the_one_that_answers(stage: Stage, http, way, content: str) -> None:
    """Go's reader, so Ollama's, takes the last of the keys that differ by their case alone."""
    path, model = way

    said = content.replace("%s", model).replace("%MORE", f'"messages":{json.dumps(HELLO)},"stream":false')
    answer = posted(http, path, said.encode())

    calls = stage.calls()
    if not calls:
        assert answer.status_code == 400, "the translator knows no such parameters"
        return
    (call,) = calls
    assert last_of_any_case(call.raw, "model") == CHEAP
    row = stage.gateway.logged(answer.headers["x-request-id"])
    assert (row["model"], row["asked_model"]) == (model, model)


def last_of_any_case(raw: bytes, name: str) -> object:
    """As Go's encoding/json reads it."""
    found: list[object] = []

    def pairs(items: list[tuple[str, object]]) -> Mapping[str, object]:
        found[:] = [value for key, value in items if key.lower() == name]
        return dict(items)

    json.loads(raw, object_pairs_hook=pairs)  # the outermost object comes last
    return found[-1]


NAMELESS = (
    {},
    {"model": None},
    {"model": ""},
    {"model": []},
    {"model": {"name": DEAR}},
    {"Model": DEAR},
    {"MODEL": DEAR},
)


@pytest.mark.parametrize("said", NAMELESS, ids=str)
@pytest.mark.parametrize("path", [CHAT, OLLAMA_CHAT])
def test_who_names_no_model_gets_the_default_one_or_nothing(stage: Stage, http, path: str, said) -> None:
    content = json.dumps({"messages": HELLO, "stream": False, **said}).encode()

    answer = posted(http, path, content)

    for call in stage.calls():
        assert last_of_any_case(call.raw, "model") == CHEAP
        assert stage.gateway.logged(answer.headers["x-request-id"])["model"] == "plain"
    assert answer.status_code == (200 if stage.calls() else answer.status_code)
    assert answer.status_code in (200, 400, 404)


@pytest.mark.parametrize("way", WAYS)
def test_a_body_without_a_length(stage: Stage, http, way) -> None:
    path, model = way
    content = body(model)

    answer = posted(http, path, iter([content[:7], content[7:50], content[50:]]))

    assert (answer.status_code, len(stage.calls())) == (200, 1)
    assert stage.gateway.logged(answer.headers["x-request-id"])["tokens_in"] > 0


@pytest.mark.parametrize("way", WAYS)
def test_by_http2(stage: Stage, way) -> None:
    path, model = way
    with httpx.Client(base_url=stage.gateway.url, http1=False, http2=True, trust_env=False, timeout=30) as client:
        whole = posted(client, path, body(model))
        endless = posted(client, path, iter([body(model)[:20], body(model)[20:]]))
        refused = posted(client, path, gzip.compress(body(model)), content_encoding="gzip")

    assert (whole.http_version, whole.status_code, endless.status_code, refused.status_code) == (
        "HTTP/2",
        200,
        200,
        400,
    )
    assert [call.body["model"] for call in stage.calls()] == [CHEAP, CHEAP]


@pytest.mark.parametrize("way", WAYS)
def test_who_waits_to_be_told_to_go_on(stage: Stage, http, way) -> None:
    """RFC 9110, 10.1.1; httpx does not wait, and hears of it all the same."""
    path, model = way

    answer = posted(http, path, body(model), expect="100-continue")

    assert (answer.status_code, len(stage.calls())) == (200, 1)
    assert "expect" not in stage.calls()[0].headers


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_of_almost_eight_mebibytes(stage: Stage, http, way) -> None:
    path, model = way
    # A GIF's first bytes are enough for whoever looks.
    picture = base64.b64encode(b"GIF89a" + bytes(EIGHT_MEBIBYTES * 3 // 4 - 3000)).decode()
    parts = [{"type": "text", "text": "what is it?"},
             {"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{picture}"}}]  # fmt: skip
    message = {"content": parts} if path == CHAT else {"content": "what is it?", "images": [picture]}
    if model == "reliable":
        stage.local.plays(Script(fault=Fault(500)))

    answer = posted(http, path, body(model, messages=[{"role": "user", **message}]))

    assert answer.status_code == 200
    assert picture in stage.calls()[-1].raw.decode()
    assert len(stage.calls()) == (2 if model == "reliable" else 1)


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_is_too_large_is_refused_on_each_way(stage: Stage, http, way) -> None:
    path, model = way

    whole = posted(http, path, body(model, x="x" * EIGHT_MEBIBYTES))
    endless = posted(http, path, iter([body(model, x="x" * EIGHT_MEBIBYTES)]))

    assert (whole.status_code, endless.status_code) == (413, 413)
    assert stage.calls() == []


@pytest.mark.parametrize("way", WAYS)
def test_many_headers_are_no_fewer_on_another_way(stage: Stage, http, way) -> None:
    """What the gateway adds must fit behind a variant too."""
    path, model = way
    many = {f"x-own-{number}": "v" for number in range(90)}

    answer = posted(http, path, body(model), **many)

    assert (answer.status_code, len(stage.calls())) == (200, 1)
