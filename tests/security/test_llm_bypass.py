"""Ways past what a caller may call, and past what is counted: bodies, numbers, paths, framings, headers.

The caller's plan has some models, each reached in another way. Of what arrives at any upstream every reader, strict or
lenient, takes one of them, and no more tokens than were counted. `--tries` says how many random bodies there are.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, product
from typing import Any

import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.recorder import Recorded, Recorder, running_recorder
from tests.support.wire import SILENCE, Answer, answers_to, http2, request

TOKEN = "a-bearer-token-that-may-little-for-tests"
CREDENTIAL = f"Authorization: Bearer {TOKEN}".encode()
JSON = b"Content-Type: application/json"
FORBIDDEN = "forbidden"
# What the upstreams call the models that the plan has.
ALLOWED = frozenset({"plain-there", "clamped", "first-there", "second-there", "translated", "hosted"})
MOST = 200
WORKERS, TRIES = 16, 500
CHAT, COMPLETIONS, OLLAMA_CHAT = "/v1/chat/completions", "/v1/completions", "/api/chat"
PATHS = (CHAT, COMPLETIONS, "/v1/embeddings", OLLAMA_CHAT, "/api/generate", "/api/embed", "/api/embeddings")
# Each with how it is reached: as it is, by the first of two, translated from either side.
MODELS = ("plain", "reliable", "translated", "hosted")
REST = '"messages":[{"role":"user","content":"x"}],"prompt":"x"'
# By these names servers take a number of tokens; by the others some do, or a number of answers: none of them goes on.
BOUNDS = ("max_tokens", "max_completion_tokens")
OTHER_NAMES = ("best_of", "n_cmpl", "n_predict", "max_new_tokens", "max_output_tokens", "N")
MOST_ANSWERS = 128


@dataclass(frozen=True)
class Try:
    """What is sent: bytes of HTTP/1.1, or the headers of an HTTP/2 request and its body."""

    name: str
    data: bytes = b""
    fields: Sequence[tuple[str, str]] = ()

    def answers(self, port: int) -> list[Answer]:
        if self.fields:
            return [http2(port, self.fields, self.data)]
        return answers_to(port, self.data, silence=SILENCE)


@dataclass(frozen=True)
class Stage:
    """A gateway before upstreams that keep what arrives."""

    gateway: Gateway
    upstreams: Sequence[Recorder]

    def arrived(self) -> list[Recorded]:
        return [found for upstream in self.upstreams for found in upstream.requests]


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    with ExitStack() as stack:
        local, native, cloud = upstreams = [stack.enter_context(running_recorder()) for _ in range(3)]
        config = {
            "defaults": {"auth": ["bearer"]},
            "identity": {"bearer_tokens": [{"name": "poor", "token": TOKEN, "plan": "some"}]},
            "plans": {"some": {"models": [*MODELS, "clamped"]}, "all": {"models": ["*"]}},
            "upstreams": {
                "local": {"url": local.url, "api": "ollama", "health_check": "none"},
                "native": {"url": native.url, "api": "ollama-native", "health_check": "none"},
                "cloud": {"url": f"{cloud.url}/v1", "api": "openai", "health_check": "none"},
            },
            "models": [
                {"name": FORBIDDEN, "upstream": "local", "aliases": ["alias-of-it"]},
                {"name": "plain", "upstream": "local", "upstream_model": "plain-there", "max_tokens": MOST},
                {"name": "clamped", "upstream": "local", "max_tokens": MOST, "above_max_tokens": "clamp"},
                {"name": "reliable", "upstream": "local", "upstream_model": "first-there", "max_tokens": MOST,
                 "fallback": [{"upstream": "cloud", "model": "second-there"}]},
                {"name": "translated", "upstream": "native", "max_tokens": MOST},
                {"name": "hosted", "upstream": "cloud", "max_tokens": MOST},
            ],
        }  # fmt: skip
        yield Stage(stack.enter_context(running_gateway(config)), upstreams)


@pytest.fixture
def stage(running: Stage) -> Stage:
    for upstream in running.upstreams:
        upstream.requests.clear()
    return running


def post(path: str, body: bytes, *headers: bytes, kind: bytes = JSON, method: bytes = b"POST") -> bytes:
    return request(path, CREDENTIAL, kind, b"Content-Length: %d" % len(body), *headers, method=method, body=body)


def chunked(path: str, parts: Sequence[bytes]) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
    return request(path, CREDENTIAL, JSON, b"Transfer-Encoding: chunked", method=b"POST", body=body)


# What stands for the model's name, in a body that names another one elsewhere or in another way.
KEYS = ("model", "Model", "MODEL", "mod\\u0065l", "Mod\\u0065l", "model ", "\\u0000model", "\\ufeffmodel", "name")
NAMES = (
    '"forbidden"', '"alias-of-it"', '"FORBIDDEN"', '"forbidden "', '" forbidden"', '"forbidden\\u0000"',
    '"forbidden:latest"',
    '"f\\u006frbidden"', '"plain/../forbidden"', '"llm:local:forbidden"', '["forbidden"]', '{"model":"forbidden"}',
    "null",
    '"%66orbidden"', '"plain,forbidden"', "1", "true", '""',
)  # fmt: skip
FORMS = (
    '\ufeff{"model":"@",%}', '[{"model":"@",%}]', "{'model':'@',%}", '{model:"@",%}', '{"model":"@",%,}',
    '{"model":"@",%',
    '{"model":"@",%}x', '{"model":"@",%}{"model":"forbidden",%}', '{"model":"@",%}\n{"model":"forbidden",%}',
    '{"model":"@",%}\x00{"model":"forbidden"}', '{"model":"@"/**/,%,"model":"forbidden"}', '//\n{"model":"@",%}',
    '{"model":"@",%,"x":NaN,"model":"forbidden"}', '{"model":"@",%,"x":1e999,"Model":"forbidden"}',
    '{"model":"@",%,"x":0x1,"model":"forbidden"}', '{"model":"@",%,"x":"\\ud800","model":"forbidden"}',
    '{"model":"@",%,"x":"a\nb","model":"forbidden"}', '{"model":"@",%,"x":18446744073709551616,"Model":"forbidden"}',
    '{"model":"@",%,"x":' + "[" * 300 + "]" * 300 + ',"model":"forbidden"}',
    '{"body":{"model":"forbidden"},"model":"@",%}',
    '{"":0,"model":"@",%,"\\ud800":1}', 'model=@&x={"model":"forbidden"}', "", " ", "null", '"{}"', "{}", "[]",
)  # fmt: skip
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig")


def bodies() -> Iterator[Try]:
    """Bodies in which some reader finds another model than Envoy."""
    texts = [
        *(f'{{"model":"@","{key}":{name},%}}' for key, name in product(KEYS, NAMES)),
        *(f'{{"{key}":{name},"model":"@",%}}' for key, name in product(KEYS, NAMES)),
        *(f'{{"{key}":{name},%}}' for key, name in product(KEYS, NAMES)),
    ]
    for number, text in enumerate(chain(texts, FORMS)):
        model, path = MODELS[number % len(MODELS)], PATHS[number % len(PATHS)]
        yield Try(text, post(path, text.replace("@", model).replace("%", REST).encode()))
    for encoding, path in product(ENCODINGS, PATHS):
        yield Try(f"{encoding} {path}", post(path, f'{{"model":"{FORBIDDEN}",{REST}}}'.encode(encoding)))


VALUES = ("0", "-1", "1", "1.5", "1e3", "200", "201", "99999", "1e300", '"999"', "true", "null", "[999]", '{"a":999}',
          "4294967297", "18446744073709551615", "1e19")  # fmt: skip
COUNTED = (
    *OTHER_NAMES, *BOUNDS, "n", "MAX_TOKENS", "Max_Completion_Tokens", "max_\\u0054okens", "max_to\\u212aens",
    "\\u006e",
    "stream", "options",
)  # fmt: skip
OPTIONS = ("options", "Options", "option\\u0073", "option\\u017f")


def numbers() -> Iterator[Try]:
    """Numbers of tokens and answers that some reader finds, and Envoy does not."""
    texts = [
        *(f'"{name}":{value}' for name, value in product(COUNTED, VALUES)),
    *(f'"max_tokens":{one},"{name}":{other}' for one in ("1", "null") for name in COUNTED for other in ("1", "9999")),
        *(f'"{name}":{{"num_predict":{value}}}' for name, value in product(OPTIONS, VALUES)),
        *(f'"options":{{"num_predict":1}},"{name}":{{"num_predict":9999}}' for name in OPTIONS),
        '"options":{"num_predict":1,"num_predict":9999}', '"options":[{"num_predict":9999}]', '"prompt":["a","b"]',
    ]  # fmt: skip
    ways = tuple(product((*MODELS, "clamped"), (CHAT, COMPLETIONS, OLLAMA_CHAT)))
    for number, text in enumerate(texts):
        for model, path in (ways[number % len(ways)], ways[(number * 7 + 3) % len(ways)]):
            rest = REST if "prompt" not in text else REST.partition(',"prompt"')[0]
            yield Try(f"{text} {model} {path}", post(path, f'{{"model":"{model}",{rest},{text}}}'.encode()))


ASKED = f'{{"model":"{FORBIDDEN}",{REST}}}'.encode()
OTHER_PATHS = (
    "{}/", "{}//", "/{}", "/.{}", "/x/..{}", "{}%20", "{}%2f", "{};x=1", "{}?model=plain", "{}#", "{}#plain", "{}%00",
    "{}.json",
    "{}%3fmodel=plain", "http://x{}", "http://plain@x{}", "https://x{}", "/x%2f..{}", "\\{}", "{}\\", "/..;{}",
)  # fmt: skip
ELSEWHERE = (
    "/v1/engines/forbidden/completions", "/openai/deployments/forbidden/chat/completions", "/v1/responses",
    "/v1/messages",
    "/chat/completions", "/V1/chat/completions", "/v1/Chat/Completions", "/v1//chat/completions", "/v1/audio/speech",
    "/completion",
    "/infill", "/v1/batches", "/v1/models/forbidden", "/api/pull", "/api/push", "/api/create", "/api/copy",
    "/api/delete",
    "/api/Chat", "/api//chat", "/api/blobs/sha256:00", "/v1", "/api", "/generate", "/invocations", "/score",
    "/v2/chat/completions",
)  # fmt: skip
HEADERS = (
    b"X-Tollgate-Body: rewritten", b"X-Tollgate-Models: -", b"X-Tollgate-Plan: all", b"X-Tollgate-Model: plain",
    b"X-Tollgate-Dialect: openai", b"X-Tollgate-Profile: -", b"X-Envoy-Original-Path: /v1/models",
    b"X-Original-URL: /v1/models",
    b"X-Rewrite-URL: /v1/models", b"X-Model: plain", b"X-HTTP-Method-Override: GET", b"Connection: x-tollgate-body",
    b"Connection: content-type", b"Connection: authorization", b"Content-Encoding: gzip", b"Content-Encoding: identity",
    b"Content-Type: text/plain", b"Expect: 100-continue", b"Upgrade: websocket\r\nConnection: upgrade", b"TE: trailers",
    b"Host: llm:local:plain", b"Host: tollgate:nobody", b"grpc-timeout: 1S", b"X_Tollgate_Models: -",
)  # fmt: skip
KINDS = (
    b"", b"text/plain", b"application/json; charset=utf-16", b"application/json; x=y; charset=utf-16",
    b"application/json, text/plain",
    b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=b", b"application/grpc",
    b"application/grpc+json",
    b"application/grpc-web+json", b"application/vnd.api+json", b"application/x-ndjson", b"application/json5",
    b"Application/JSON",
)  # fmt: skip
METHODS = (b"GET", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"QUERY", b"post")


def transports() -> Iterator[Try]:
    """A model that is not allowed, asked for by every way to send it; HTTP/2 too."""
    for path in (CHAT, OLLAMA_CHAT):
        targets = (*(written.format(path) for written in OTHER_PATHS), *ELSEWHERE)
        yield from (Try(target, post(target, ASKED)) for target in targets)
        yield from (Try(repr(line), post(path, ASKED, line)) for line in HEADERS)
        kinds = [b"Content-Type: " + kind for kind in KINDS]
        yield from (Try(repr(kind), post(path, ASKED, kind=kind)) for kind in kinds)
        yield from (Try(repr(method), post(path, ASKED, method=method)) for method in METHODS)
        yield Try("byte by byte", chunked(path, [ASKED[at : at + 1] for at in range(len(ASKED))]))
        yield Try("two bodies", chunked(path, [ASKED.replace(FORBIDDEN.encode(), b"plain"), ASKED]))
        yield from (Try(f"h2 {name}", ASKED, fields) for name, fields in by_http2(path))


def by_http2(path: str) -> Iterator[tuple[str, Sequence[tuple[str, str]]]]:
    start = [(":method", "POST"), (":scheme", "http"), (":authority", "gateway")]
    end = [("authorization", f"Bearer {TOKEN}"), ("content-type", "application/json")]
    for target in (
        path,
        f"{path}/",
        f"{path}?model=plain",
        f"http://x{path}",
        f"{path}#",
        f"{path}\x00",
        "*",
        path[1:],
    ):
        yield repr(target), [*start, (":path", target), *end]
    usual = [*start, (":path", path), *end]
    for name, value in (
        ("content-type", "text/plain"),
        ("host", "x"),
        ("content-length", "5"),
        ("x-tollgate-models", "-"),
    ):
        yield name, [*usual, (name, value)]
    yield "websocket", [(":method", "CONNECT"), (":protocol", "websocket"), *usual[1:]]
    yield "grpc", [*usual[:-1], ("content-type", "application/grpc"), ("te", "trailers")]


# Of random bodies: members, what goes between them, and how they may be damaged.
MEMBERS = (
    *(f'"{key}":{name}' for key in KEYS for name in ('"@"', '"forbidden"', '["forbidden"]', "null")),
    *(f'"{name}":{value}' for name in COUNTED for value in ("1", "9999", "null", '"9999"', "-1")),
    *(f'"{name}":{{"num_predict":9999}}' for name in OPTIONS),
    '"x":"\\"model\\":\\"forbidden\\""', '"x":{"model":"forbidden"}', '"x":1e400', '"x":"\\u0000"',
    '"stream_options":[]',
)  # fmt: skip
BETWEEN = (",", ",", ",", ",", ",", " ,\n", ",,", "/**/,", ";")
DAMAGE = (b"", b"", b"", b"", b"\x00", b"\xff", b'"', b"\\", b"}", b"\xef\xbb\xbf", b"\\u0000")


def randoms(count: int) -> Iterator[Try]:
    """Random members in a random order, in pieces that are cut anywhere."""
    dice = random.Random(7)
    for number in range(count):
        path, model = dice.choice(PATHS), dice.choice(MODELS)
        members = [f'"model":"{model}"', REST, *dice.choices(MEMBERS, k=dice.randrange(3))]
        dice.shuffle(members)
        text = members[0] + "".join(dice.choice(BETWEEN) + member for member in members[1:])
        body = f"{{{text}}}".replace("@", model).encode()
        at = dice.randrange(len(body))
        body = body[:at] + dice.choice(DAMAGE) + body[at:]
        cuts = sorted(dice.sample(range(len(body)), dice.randrange(5)))
        parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        yield Try(f"random {number}: {body!r}", chunked(path, parts))


def readings(body: bytes) -> Iterator[dict[str, Any]]:
    """The top of a body to a reader who is strict, and to one who tells no case apart as Go does not: of several the
    last counts, and of mappings all.
    """
    top = json.loads(body, object_pairs_hook=tuple)
    mappings = [value for key, value in top if folded(key) == "options" and isinstance(value, tuple)]
    for key_of in (str, folded):
        yield {**{key_of(key): value for key, value in top}, "options": dict(chain(*mappings))}


def folded(key: str) -> str:
    return key.replace("\u212a", "k").replace("\u017f", "s").lower()


def faults(found: Recorded) -> Iterator[str]:
    """What some reader of this would do that is not allowed, or was not counted."""
    path = found.line.split(b" ")[1].decode()
    for read in readings(found.body):
        if read.get("model") not in ALLOWED:
            yield f"the model is {read.get('model')!r}"
        if path.endswith("/completions"):
            yield from (f"{name} is {read[name]}" for name in BOUNDS if is_number(read.get(name)) and read[name] > MOST)
            yield from (f"{name} is {read[name]}" for name in OTHER_NAMES if is_number(read.get(name)))
            if is_number(read.get("n")) and read["n"] > MOST_ANSWERS:
                yield f"n is {read['n']}"
        elif path in (OLLAMA_CHAT, "/api/generate") and not 0 < read["options"]["num_predict"] <= MOST:
            yield f"num_predict is {read['options']['num_predict']}"


def is_number(value: object) -> bool:
    """Lists, texts and mappings are none to anybody."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def told(stage: Stage, tries: Sequence[Try]) -> Mapping[str, list[Answer]]:
    with ThreadPoolExecutor(WORKERS) as pool:
        answers = pool.map(lambda it: it.answers(stage.gateway.port), tries)
        return {it.name: found for it, found in zip(tries, answers, strict=True)}


@pytest.mark.parametrize("model", [*MODELS, "clamped"])
@pytest.mark.parametrize("path", [CHAT, OLLAMA_CHAT])
def test_the_ways_are_open(stage: Stage, model: str, path: str) -> None:
    """To those who may: what is refused below is refused for what it is."""
    answers_to(stage.gateway.port, post(path, f'{{"model":"{model}",{REST}}}'.replace(',"prompt":"x"', "").encode()))

    found = stage.arrived()
    assert found
    assert not [*chain.from_iterable(map(faults, found))]


@pytest.mark.parametrize("tries", [bodies, numbers, transports, randoms], ids=lambda found: found.__name__)
def test_no_try_gets_past(stage: Stage, tries: Any, request: pytest.FixtureRequest) -> None:
    count = max(TRIES, request.config.getoption("tries") // 10)
    sent = [*(tries(count) if tries is randoms else tries())]

    answers = told(stage, sent)

    found = stage.arrived()
    print(f"{len(sent)} tries, {len(found)} reached an upstream")
    assert not [(fault, it.line, it.body) for it in found for fault in faults(it)]
    # 502: what the upstreams say makes no sense to a translator.
    assert not [(name, it) for name, all_ in answers.items() for it in all_ if it.status in (500, 503, 504)]
    assert all(answers.values()) or tries is transports
