"""Messages and tools of Ollama's clients in OpenAI's format.

Ollama's clients know no ids: a call gets one by its place in the conversation, and a result belongs to the first call
without a result, of its tool's name where it gives one.
"""

from dataclasses import dataclass, field

from llm_providers.asked import Asked, Untranslatable
from llm_providers.data_urls import data_url
from llm_providers.json_text import json_string

Json = dict[str, object]


@dataclass
class _Conversation:
    """Calls of tools that still wait for their result, in order: id and name."""

    waiting: list[tuple[str, str]] = field(default_factory=list)
    calls: int = 0

    def message(self, asked: Asked) -> Json:
        role = asked.required_text("role").lower()
        if role in ("system", "user"):
            return {"role": role, "content": content(asked, asked.text("content") or "")}
        if role == "assistant":
            return self._assistant(asked)
        if role == "tool":
            return {"role": role, "tool_call_id": self._answered(asked), "content": asked.text("content") or ""}
        raise asked.wrong("role", "system, user, assistant or tool")

    def _assistant(self, asked: Asked) -> Json:
        """The thinking is left out: OpenAI's own API takes none back."""
        calls = [self._call(call) for call in asked.objects("tool_calls")]
        text = asked.text("content") or ""
        return {
            "role": "assistant",
            "content": text or (None if calls else ""),
            **({"tool_calls": calls} if calls else {}),
        }

    def _call(self, asked: Asked) -> Json:
        function = asked.object("function")
        if function is None:
            raise asked.wrong("function", "an object")
        name = function.required_text("name")
        arguments = function.object("arguments")
        call_id = asked.text("id") or f"call_{self.calls}"
        self.calls += 1
        self.waiting.append((call_id, name))
        try:
            text = json_string({} if arguments is None else arguments.members)
        except ValueError:
            raise function.wrong("arguments", "an object that JSON can say") from None
        return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}

    def _answered(self, asked: Asked) -> str:
        call_id, name = asked.text("tool_call_id"), asked.text("tool_name") or asked.text("name")
        for waiting in self.waiting:
            if waiting[0] == call_id or (not call_id and (not name or waiting[1] == name)):
                self.waiting.remove(waiting)
                return waiting[0]
        of_tool = f" of the tool {name}" if name else ""
        raise Untranslatable(f"{asked.place} is a result, but no call{of_tool} waits for one", asked.place)


def messages(asked: Asked) -> list[Json]:
    conversation = _Conversation()
    return [conversation.message(message) for message in asked.objects("messages")]


def content(asked: Asked, text: str) -> object:
    """The text, or the parts of a message with images."""
    images = asked.texts("images")
    if not images:
        return text
    addresses = [data_url(image, f"{asked.param('images')}[{index}]") for index, image in enumerate(images)]
    said: list[object] = [{"type": "text", "text": text}] if text else []
    return said + [{"type": "image_url", "image_url": {"url": address}} for address in addresses]


def tools(asked: Asked) -> Json:
    """OpenAI's form of a tool is Ollama's."""
    given = asked.objects("tools")
    return {"tools": [_tool(tool) for tool in given]} if given else {}


def _tool(asked: Asked) -> Json:
    function = asked.object("function")
    if function is None or (asked.text("type") or "function") != "function":
        raise Untranslatable(f"{asked.place} must be a function", asked.place, "invalid_type")
    function.required_text("name")
    return {"type": "function", "function": dict(function.members)}
