"""Ollama's API, native and OpenAI-compatible: a model is loaded by what is asked of it, and stays for a while."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from tests.support.llm.calls import Call
from tests.support.llm.catalog import OLLAMA_MODELS, VECTOR, Model, vector
from tests.support.llm.delivery import Content, Stream, Whole
from tests.support.llm.frames import Json, compact, line
from tests.support.llm.ollama_frames import NativeAnswer, hidden_in, nothing_said, rfc3339
from tests.support.llm.ollama_openai_frames import CompatibleChat, CompatibleText
from tests.support.llm.ollama_requests import (
    Body,
    chat_ask,
    compatible_chat_ask,
    compatible_text_ask,
    generate_ask,
    images_of,
    kept_alive,
)
from tests.support.llm.openai_server import embedding_list
from tests.support.llm.script import Fault, Script, Usage
from tests.support.llm.speech import Ask, reply_to
from tests.support.llm.stand_in import Refused, StandIn
from tests.support.llm.tokens import count

VERSION = "0.12.6"
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"
PLAIN = "text/plain; charset=utf-8"
TYPES = {400: "invalid_request_error", 404: "not_found_error"}
LOADING = 1_000_000
AnyAnswer = NativeAnswer | CompatibleChat | CompatibleText
Read = Callable[[Body, Model], Ask]


class OllamaServer(StandIn):
    """Asks nobody for a key."""

    media_type = "application/json; charset=utf-8"

    def __init__(
        self,
        models: Iterable[Model] = OLLAMA_MODELS,
        *,
        port: int | None = None,
        version: str = VERSION,
        **options: Any,
    ) -> None:
        super().__init__(models, port=port, **options)
        self.version = version
        self._until: dict[str, float] = {}

    @property
    def loaded(self) -> tuple[str, ...]:
        return tuple(name for name, until in self._until.items() if until > time.time())

    def routes(self) -> list[Route]:
        return [
            self.route("/", self._root, "GET"),
            self.route("/api/version", self._version, "GET"),
            self.route("/api/tags", self._tags, "GET"),
            self.route("/api/ps", self._ps, "GET"),
            self.route("/api/show", self._show),
            self.route("/api/chat", self._chat),
            self.route("/api/generate", self._generate),
            self.route("/api/embed", self._embed),
            self.route("/api/embeddings", self._old_embed),
            self.route("/v1/chat/completions", self._compatible_chat),
            self.route("/v1/completions", self._compatible_text),
            self.route("/v1/embeddings", self._compatible_embed),
            self.route("/v1/models", self._compatible_list, "GET"),
            self.route("/v1/models/{name}", self._compatible_model, "GET"),
            self.route("/{path:path}", self._unknown, "GET", "POST", "PUT", "DELETE"),
        ]

    def error(self, request: Request, refused: Refused) -> bytes:
        fault = refused.fault
        if not request.url.path.startswith("/v1/"):
            return compact({"error": fault.message})
        kind = fault.type or TYPES.get(fault.status, "api_error")
        return line({"error": {"message": fault.message, "type": kind, "param": None, "code": fault.code}})

    # What a model is asked.

    def _chat(self, call: Call, _request: Request) -> tuple[Script, Content]:
        body = _body_of(call)
        model = self._named(call, body, Fault(400, "model is required"))
        if not model.can("completion"):
            raise Refused(Fault(400, f'"{body["model"]}" does not support chat'))
        if not body.get("messages"):
            return self._load(call, body, model, is_chat=True)
        return self._says(call, chat_ask(body, model), partial(NativeAnswer, is_chat=True))

    def _generate(self, call: Call, _request: Request) -> tuple[Script, Content]:
        body = _body_of(call)
        model = self._named(call, body, Fault(404, "model '' not found"))
        if not model.can("completion"):
            raise Refused(Fault(400, f'"{body["model"]}" does not support generate'))
        if not body.get("prompt"):
            return self._load(call, body, model, is_chat=False)
        return self._says(call, generate_ask(body, model), partial(NativeAnswer, is_chat=False))

    def _compatible_chat(self, call: Call, _request: Request) -> tuple[Script, Content]:
        return self._compatible(call, compatible_chat_ask, CompatibleChat)

    def _compatible_text(self, call: Call, _request: Request) -> tuple[Script, Content]:
        return self._compatible(call, compatible_text_ask, CompatibleText)

    def _compatible(self, call: Call, read: Read, answer: Callable[..., AnyAnswer]) -> tuple[Script, Content]:
        body = _body_of(call)
        model = self._named(call, body, Fault(400, "model is required"))
        return self._says(call, read(body, model), answer)

    def _says(self, call: Call, ask: Ask, answer_of: Callable[..., AnyAnswer]) -> tuple[Script, Content]:
        script = self.script_of(call)
        reply = reply_to(ask, script)
        answer = answer_of(ask, reply, script.told(reply.usage))
        call.answer.truth, call.answer.told = reply.usage, answer.told
        self._stays(ask.model, _body_of(call))
        if not ask.stream:
            hidden = hidden_in(reply)
            return script, Whole(answer.body, len(reply.tokens) - hidden, hidden, self._whole_type(answer))
        if isinstance(answer, NativeAnswer):
            return script, Stream(answer.frames(), LINES, line({"error": Fault(500).message}))
        if not ask.include_usage:
            call.answer.told = None
        return script, Stream(answer.frames(), EVENTS, answer.failure())

    def _whole_type(self, answer: AnyAnswer) -> str:
        return self.media_type if isinstance(answer, NativeAnswer) else "application/json"

    def _load(self, call: Call, body: Body, model: Model, *, is_chat: bool) -> tuple[Script, Content]:
        """A request without a word loads the model, or unloads it."""
        call.answer.truth = Usage(0, 0)
        self._stays(model, body)
        reason = "load" if model.name in self.loaded else "unload"
        return self.script_of(call), self._json(nothing_said(body["model"], reason, is_chat=is_chat))

    def _embed(self, call: Call, _request: Request) -> tuple[Script, Content]:
        body = _body_of(call)
        script, vectors = self._vectors(call, body, _inputs(body.get("input")))
        told = script.told(call.answer.truth or Usage(0, 0))
        call.answer.told = told
        answer = {"model": body["model"], "embeddings": vectors}
        times = {"total_duration": 2 * LOADING, "load_duration": LOADING}
        count_told = {"prompt_eval_count": told.prompt} if told and told.prompt else {}
        return script, self._json({**answer, **times, **count_told} if vectors else answer)

    def _old_embed(self, call: Call, _request: Request) -> tuple[Script, Content]:
        """It tells no counts."""
        body = _body_of(call)
        script, vectors = self._vectors(call, body, _inputs(body.get("prompt")))
        return script, self._json({"embedding": vectors[0] if vectors else []})

    def _compatible_embed(self, call: Call, _request: Request) -> tuple[Script, Content]:
        body = _body_of(call)
        inputs = body.get("input")
        if inputs is None or inputs == []:
            raise Refused(Fault(400, "invalid input"))
        script, vectors = self._vectors(call, body, [""] if inputs == "" else _inputs(inputs))
        answer = embedding_list(body["model"], vectors, body.get("encoding_format"))
        if told := script.told(call.answer.truth or Usage(0, 0)):
            call.answer.told = told
            answer["usage"] = {"prompt_tokens": told.prompt, "total_tokens": told.total}
        return script, Whole(lambda: line(answer))

    def _vectors(self, call: Call, body: Body, texts: list[str]) -> tuple[Script, list[list[float]]]:
        model = self._named(call, body, Fault(404, "model '' not found"))
        call.answer.truth = Usage(sum(count(text) for text in texts), 0)
        self._stays(model, body)
        return self.script_of(call), [vector(text, body.get("dimensions")) for text in texts]

    # What is known of models.

    def _root(self, call: Call, _request: Request) -> tuple[Script, Content]:
        return self.script_of_path(call), Whole(lambda: b"Ollama is running", media_type=PLAIN)

    def _version(self, call: Call, _request: Request) -> tuple[Script, Content]:
        return self.script_of_path(call), self._json({"version": self.version})

    def _tags(self, call: Call, _request: Request) -> tuple[Script, Content]:
        models = [{**_listed(model), "modified_at": rfc3339(model.created)} for model in self.models]
        return self.script_of_path(call), self._json({"models": models})

    def _ps(self, call: Call, _request: Request) -> tuple[Script, Content]:
        models = [
            {
                **_listed(model),
                "expires_at": rfc3339(self._until[model.name]),
                "size_vram": model.size,
                "context_length": model.context,
            }
            for model in self.models
            if model.name in self.loaded
        ]
        return self.script_of_path(call), self._json({"models": models})

    def _show(self, call: Call, _request: Request) -> tuple[Script, Content]:
        body = _body_of(call)
        name = body.get("model") or body.get("name")
        if not name:
            raise Refused(Fault(400, "model is required"))
        return self.script_of_path(call), self._json(_shown(self._known(name)))

    def _compatible_list(self, call: Call, _request: Request) -> tuple[Script, Content]:
        data = [_compatible_model(model.name, model) for model in self.models] or None  # no models are null
        return self.script_of_path(call), Whole(lambda: line({"object": "list", "data": data}))

    def _compatible_model(self, call: Call, request: Request) -> tuple[Script, Content]:
        name = request.path_params["name"]
        model = self._known(name)
        return self.script_of_path(call), Whole(lambda: line(_compatible_model(name, model)))

    def _unknown(self, _call: Call, _request: Request) -> tuple[Script, Content]:
        raise Refused(Fault(404, "404 page not found"), is_plain=True)

    def _json(self, data: Json) -> Whole:
        return Whole(lambda: compact(data), media_type=self.media_type)

    def _named(self, call: Call, body: Body, unnamed: Fault) -> Model:
        """The model of a request, which is noted down."""
        name = body.get("model")
        if not isinstance(name, str) or not name:
            raise Refused(unnamed)
        call.model = name
        model = self._known(name)
        call.model, call.images = model.name, images_of(body)
        return model

    def _known(self, name: str) -> Model:
        """By a name without a tag it is the latest; the case of letters does not matter."""
        full = (name if ":" in name else f"{name}:latest").lower()
        for model in self.models:
            if model.name.lower() == full:
                return model
        raise Refused(Fault(404, f"model '{name}' not found"))

    def _stays(self, model: Model, body: Body) -> None:
        self._until[model.name] = time.time() + kept_alive(body.get("keep_alive"))


def _body_of(call: Call) -> Body:
    if not call.raw:
        raise Refused(Fault(400, "missing request body"))
    if not isinstance(call.body, dict):
        raise Refused(Fault(400, "invalid character in the request's body"))
    return call.body


def _inputs(given: Any) -> list[str]:
    if not given:
        return []
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refused(Fault(400, "invalid input type"))
    return texts


def _listed(model: Model) -> Json:
    return {
        "name": model.name,
        "model": model.name,
        "size": model.size,
        "digest": model.digest,
        "details": _details(model),
    }


def _details(model: Model) -> Json:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameters,
        "quantization_level": model.quantization,
    }


def _shown(model: Model) -> Json:
    return {
        "modelfile": f"FROM {model.name}\n",
        "parameters": f"num_ctx                        {model.context}",
        "template": "{{ .Prompt }}",
        "details": _details(model),
        "model_info": {
            "general.architecture": model.family,
            "general.parameter_count": 8_030_261_248,
            f"{model.family}.context_length": model.context,
            f"{model.family}.embedding_length": VECTOR,
        },
        "capabilities": list(model.capabilities),
        "modified_at": rfc3339(model.created),
    }


def _compatible_model(name: str, model: Model) -> Json:
    return {"id": name, "object": "model", "created": model.created, "owned_by": "library"}
