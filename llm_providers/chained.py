"""Two translators as one: a client's dialect over OpenAI's, and OpenAI's over a vendor's."""

from llm_providers.asked import Untranslatable
from llm_providers.translation import Answered, Head, Sent, Translator


class Chained:
    """`outer` speaks with the client, `inner` with the upstream."""

    def __init__(self, outer: Translator, inner: Translator) -> None:
        self._outer = outer
        self._inner = inner

    @property
    def status(self) -> int:
        return self._outer.status

    def asked_as(self, request_id: str) -> None:
        self._outer.asked_as(request_id)
        self._inner.asked_as(request_id)

    def begin(self, path: str, body: bytes) -> Sent | Answered:
        sent = self._outer.begin(path, body)
        if isinstance(sent, Answered):
            return sent
        passed_on = self._inner.begin(sent.path, sent.body)
        return self._retold(passed_on) if isinstance(passed_on, Answered) else passed_on

    def error(self, problem: Untranslatable) -> Answered:
        return self._outer.error(problem)

    def head(self, status: int, content_type: str) -> Head:
        head = self._inner.head(status, content_type)
        return self._outer.head(head.status, head.content_type)

    def feed(self, chunk: bytes) -> bytes:
        return self._outer.feed(self._inner.feed(chunk))

    def end(self) -> bytes:
        return self._outer.feed(self._inner.end()) + self._outer.end()

    def _retold(self, answered: Answered) -> Answered:
        head = self._outer.head(answered.status, answered.content_type)
        body = self._outer.feed(answered.body) + self._outer.end()
        return Answered(body, self._outer.status, head.content_type)


def chained(outer: Translator, inner: Translator) -> Translator:
    return Chained(outer, inner)
