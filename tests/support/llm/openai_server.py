"""OpenAI's API: chat, completions, embeddings and models, for clients that have a key."""

import base64
import struct
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.routing import Route

from tests.support.llm.calls import Call
from tests.support.llm.catalog import OPENAI_MODELS, Model, vector
from tests.support.llm.delivery import Content, Stream, Whole
from tests.support.llm.frames import Json, event, images_in, stops_of, text_of
from tests.support.llm.openai_frames import ChatAnswer, TextAnswer, whole
from tests.support.llm.schemas import fitting
from tests.support.llm.script import Fault, Script, ToolUse, Usage
from tests.support.llm.speech import Ask, Format, Kind, Reply, reply_to
from tests.support.llm.stand_in import Refused, StandIn
from tests.support.llm.tokens import count, prompt_tokens

KEY = "sk-stand-in"
REQUEST = "invalid_request_error"
# The words of an error that its script does not say, by its status.
TYPES = {401: REQUEST, 404: REQUEST, 400: REQUEST, 429: "requests"}
CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
# What is told of whoever has the key, with every answer.
ACCOUNT = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "8.64s",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199993",
    "x-ratelimit-reset-tokens": "2ms",
    "openai-organization": "the-operators",
    "openai-project": "proj_of_the_operator",
}
EVENTS = "text/event-stream; charset=utf-8"


class OpenAIServer(StandIn):
    """Answers who has one of the `keys`."""

    def __init__(
        self,
        models: Iterable[Model] = OPENAI_MODELS,
        *,
        keys: Iterable[str] = (KEY,),
        port: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(models, port=port, **options)
        self.keys = set(keys)

    def routes(self) -> list[Route]:
        return [
            self.route("/v1/chat/completions", self._chat),
            self.route("/v1/completions", self._completion),
            self.route("/v1/embeddings", self._embeddings),
            self.route("/v1/models", self._list, "GET"),
            self.route("/v1/models/{name:path}", self._model, "GET"),
            self.route("/{path:path}", self._unknown, "GET", "POST", "PUT", "DELETE"),
        ]

    def error(self, request: Request, refused: Refused) -> bytes:
        return whole({"error": error_of(refused)})

    def headers(self) -> dict[str, str]:
        said = {"x-request-id": f"req_{uuid4().hex}", "openai-version": "2020-10-01", "openai-processing-ms": "1"}
        return {**said, **ACCOUNT}

    def _chat(self, call: Call, _request: Request) -> tuple[Script, Content]:
        ask = self._asked(call, _chat_ask)
        script = self.script_of(call)
        reply = reply_to(ask, script)
        return script, self._content(call, ask, reply, ChatAnswer(ask, reply, script.told(reply.usage)))

    def _completion(self, call: Call, _request: Request) -> tuple[Script, Content]:
        ask = self._asked(call, _text_ask)
        script = self.script_of(call)
        reply = reply_to(ask, script)
        return script, self._content(call, ask, reply, TextAnswer(ask, reply, script.told(reply.usage)))

    @staticmethod
    def _content(call: Call, ask: Ask, reply: Reply, answer: ChatAnswer | TextAnswer) -> Content:
        call.answer.truth = reply.usage
        call.answer.told = None if ask.stream and not ask.include_usage else answer.told
        if ask.stream:
            failure = event({"error": error_of(Refused(Fault(500)))})
            return Stream(answer.frames(), EVENTS, failure, is_head_first=True)
        hidden = sum(token.kind is Kind.THOUGHT for token in reply.tokens) * ask.choices
        return Whole(answer.body, reply.usage.completion - hidden, hidden)

    def _embeddings(self, call: Call, _request: Request) -> tuple[Script, Content]:
        body = self._admitted(call)
        call.model = body.get("model")
        model = self._known(call.model)
        texts = _inputs(body.get("input"))
        script = self.script_of(call)
        truth = Usage(sum(count(text) for text in texts), 0)
        call.answer.truth, call.answer.told = truth, script.told(truth)
        vectors = [vector(text, body.get("dimensions")) for text in texts]
        answer = embedding_list(model.name, vectors, body.get("encoding_format"))
        if told := call.answer.told:
            answer["usage"] = {"prompt_tokens": told.prompt, "total_tokens": told.total}
        return script, Whole(lambda: whole(answer))

    def _list(self, call: Call, _request: Request) -> tuple[Script, Content]:
        self._admit(call)
        data = [_told_of(model) for model in self.models]
        return self.script_of_path(call), Whole(lambda: whole({"object": "list", "data": data}))

    def _model(self, call: Call, request: Request) -> tuple[Script, Content]:
        self._admit(call)
        model = self._known(request.path_params["name"])
        return self.script_of_path(call), Whole(lambda: whole(_told_of(model)))

    def _unknown(self, call: Call, _request: Request) -> tuple[Script, Content]:
        self._admit(call)
        message = f"Invalid URL ({call.method} {call.path})"
        raise Refused(Fault(404, message, code="", type=REQUEST))

    def _asked(self, call: Call, read: Any) -> Ask:
        body = self._admitted(call)
        call.model = body.get("model")
        model = self._known(call.model)
        call.images = sum(images_in(message.get("content")) for message in body.get("messages") or ())
        if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
            message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
            raise Refused(Fault(400, message, code="invalid_parameter_combination"))
        if model.can("thinking") and body.get("max_tokens") is not None:
            message = "Unsupported parameter: 'max_tokens' is not supported with this model."
            raise Refused(Fault(400, message, code="unsupported_parameter"), "max_tokens")
        ask: Ask = read(body, model, call.images)
        return ask

    def _admitted(self, call: Call) -> Mapping[str, Any]:
        self._admit(call)
        if not isinstance(call.body, dict):
            raise Refused(Fault(400, "We could not parse the JSON body of your request."))
        return call.body

    def _admit(self, call: Call) -> None:
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Refused(Fault(401, "You didn't provide an API key.", code=""))
        if key not in self.keys:
            raise Refused(Fault(401, f"Incorrect API key provided: {key[:7]}***."))

    def _known(self, name: Any) -> Model:
        if not isinstance(name, str) or not name:
            raise Refused(Fault(400, "you must provide a model parameter"))
        for model in self.models:
            if model.name == name:
                return model
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise Refused(Fault(404, message))


def error_of(refused: Refused) -> Json:
    """The error object; an empty code says that there is none."""
    fault = refused.fault
    return {
        "message": fault.message,
        "type": fault.type or TYPES.get(fault.status, "server_error"),
        "param": refused.param,
        "code": (CODES.get(fault.status) if fault.code is None else fault.code) or None,
    }


def embedding_list(model: str, vectors: list[list[float]], encoding: str | None) -> Json:
    """Vectors as numbers, or as little-endian floats in base64."""
    data = [
        {"object": "embedding", "index": index, "embedding": _in_base64(numbers) if encoding == "base64" else numbers}
        for index, numbers in enumerate(vectors)
    ]
    return {"object": "list", "data": data, "model": model}


def _in_base64(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def _told_of(model: Model) -> Json:
    return {"id": model.name, "object": "model", "created": model.created, "owned_by": model.owner}


def _chat_ask(body: Mapping[str, Any], model: Model, images: int) -> Ask:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(Fault(400, "Invalid 'messages': empty array.", code="empty_array"), "messages")
    texts = tuple(text_of(message.get("content")) for message in messages)
    tools = body.get("tools") or ()
    return Ask(
        model=model,
        name=model.name,
        texts=texts,
        prompt=prompt_tokens(texts, images=images, tools=len(tools)),
        limit=_positive(body, "max_completion_tokens") or _positive(body, "max_tokens"),
        schema=schema_of(body.get("response_format")),
        forced=_forced(body.get("tool_choice"), tools),
        think=model.can("thinking"),
        **_of_both(body),
    )


def _text_ask(body: Mapping[str, Any], model: Model, _images: int) -> Ask:
    prompts = body.get("prompt") or ""
    text = "".join(prompts) if isinstance(prompts, list) else prompts
    return Ask(
        model=model,
        name=model.name,
        texts=(text,),
        prompt=count(text),
        limit=_positive(body, "max_tokens") or 16,  # what it is where nothing is said
        **_of_both(body),
    )


def _of_both(body: Mapping[str, Any]) -> Json:
    options = body.get("stream_options") or {}
    return {
        "stream": body.get("stream") is True,
        "include_usage": options.get("include_usage") is True,
        "stop": stops_of(body.get("stop")),
        "choices": _positive(body, "n") or 1,
    }


def schema_of(response_format: Any) -> Format:
    """None where any text will do."""
    kind = (response_format or {}).get("type")
    if kind == "json_schema":
        schema: Format = response_format["json_schema"]["schema"]
        return schema
    return {} if kind == "json_object" else None


def _forced(choice: Any, tools: Any) -> ToolUse | None:
    """`required` is the first tool, and a tool by its name is that one."""
    functions = {tool["function"]["name"]: tool["function"] for tool in tools if tool["type"] == "function"}
    name = choice["function"]["name"] if isinstance(choice, dict) else None
    if choice == "required":
        name = next(iter(functions))
    return ToolUse(name, fitting(functions[name].get("parameters") or {})) if name else None


def _inputs(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise Refused(Fault(400, "'$.input' is invalid."), "input")
    return texts


def _positive(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(Fault(400, f"Invalid type for '{name}': expected an integer.", code="invalid_type"), name)
    if value < 1:
        message = f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead."
        raise Refused(Fault(400, message, code="integer_below_min_value"), name)
    return value
