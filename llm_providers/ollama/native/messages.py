"""Messages and tools in OpenAI's format, for Ollama's /api/chat."""

from typing import Final

from llm_providers.asked import Asked, Untranslatable
from llm_providers.data_urls import image_of
from llm_providers.json_text import read_object

Json = dict[str, object]
ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
NO_PARAMETERS: Final = {"type": "object", "properties": {}}


def messages(asked: Asked) -> list[Json]:
    given = asked.objects("messages")
    if not given:
        raise Untranslatable("messages is required", "messages", "missing_required_parameter")
    names: dict[str, str] = {}
    return [_message(message, names) for message in given]


def tools(asked: Asked) -> Json:
    """The tools, unless the choice is that none is used; Ollama knows no other choice than the model's own."""
    given = [_tool(tool) for tool in asked.objects("tools")]
    return {"tools": given} if given and asked.get("tool_choice") != "none" else {}


def _message(asked: Asked, names: dict[str, str]) -> Json:
    """`names` are the tools' names by the ids of their calls: Ollama's templates want the name."""
    role = ROLES.get(asked.required_text("role"))
    if role is None:
        raise asked.wrong("role", "system, developer, user, assistant or tool")
    text, images = _content(asked)
    message: Json = {"role": role, "content": text}
    if images:
        message["images"] = images
    if role == "assistant":
        message.update(_assistant(asked, names))
    if role == "tool":
        call_id = asked.required_text("tool_call_id")
        if call_id not in names:
            raise Untranslatable(f"no call has the id of {asked.param('tool_call_id')}", asked.param("tool_call_id"))
        message.update({"tool_name": names[call_id], "tool_call_id": call_id})
    return message


def _content(asked: Asked) -> tuple[str, list[str]]:
    value = asked.get("content")
    if value is None or isinstance(value, str):
        return value or "", []
    texts: list[str] = []
    images: list[str] = []
    for part in asked.objects("content"):
        _add(part, texts, images)
    return "\n".join(texts), images


def _add(part: Asked, texts: list[str], images: list[str]) -> None:
    kind = part.required_text("type")
    if kind in ("text", "refusal"):
        texts.append(part.text(kind) or "")
    elif kind == "image_url":
        address = part.object("image_url") if isinstance(part.get("image_url"), dict) else None
        source = part.required_text("image_url") if address is None else address.required_text("url")
        images.append(image_of(source, part.param("image_url")))
    else:
        raise Untranslatable(f"{part.place}: parts of type {kind!r} are not supported", part.param("type"))


def _assistant(asked: Asked, names: dict[str, str]) -> Json:
    if asked.get("function_call") is not None:
        raise Untranslatable(f"{asked.param('function_call')} is not supported: use tool_calls", "function_call")
    calls = [_call(call, index, names) for index, call in enumerate(asked.objects("tool_calls"))]
    thinking = asked.text("reasoning_content") or asked.text("reasoning")
    return {**({"thinking": thinking} if thinking else {}), **({"tool_calls": calls} if calls else {})}


def _call(asked: Asked, index: int, names: dict[str, str]) -> Json:
    function = _function(asked)
    call_id, name = asked.required_text("id"), function.required_text("name")
    names[call_id] = name
    return {"id": call_id, "function": {"index": index, "name": name, "arguments": _arguments(function)}}


def _arguments(function: Asked) -> Json:
    text = function.text("arguments") or "{}"
    try:
        return read_object(text)
    except ValueError:
        raise function.wrong("arguments", "the text of a JSON object") from None


def _function(asked: Asked) -> Asked:
    function = asked.object("function")
    if function is None or (asked.text("type") or "function") != "function":
        raise Untranslatable(f"{asked.place} must be a function", asked.place, "invalid_type")
    return function


def _tool(asked: Asked) -> Json:
    """The tool without `strict`, which is a promise of OpenAI's own decoding."""
    function = _function(asked)
    description = function.text("description")
    parameters = function.object("parameters")
    return {
        "type": "function",
        "function": {
            "name": function.required_text("name"),
            **({"description": description} if description else {}),
            "parameters": NO_PARAMETERS if parameters is None else dict(parameters.members),
        },
    }


def texts_not_tokens(asked: Asked, name: str) -> list[str] | None:
    value = asked.get(name)
    if isinstance(value, list) and value and all(isinstance(item, int | list) for item in value):
        raise asked.wrong(name, "text: another model's machine cannot read token ids")
    return asked.texts(name)


def one_prompt(asked: Asked) -> str:
    """The prompt of a completion: one text, bare or alone in a list."""
    prompts = texts_not_tokens(asked, "prompt")
    if not prompts or not prompts[0]:
        raise Untranslatable("prompt is required", "prompt", "missing_required_parameter")
    if len(prompts) > 1:
        raise Untranslatable("unsupported parameters: prompt (more than one)", "prompt", "unsupported_parameter")
    return prompts[0]
