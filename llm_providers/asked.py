"""The JSON of a client's request, read member by member; what is wrong is named by its path."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

from llm_providers.json_text import read_object

T = TypeVar("T")


class Untranslatable(Exception):  # noqa: N818 - an answer for the client, not a fault
    """A request that cannot be put in the upstream's dialect; the client is told in its own."""

    def __init__(self, message: str, param: str = "", code: str = "", status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = int(status)


@dataclass(frozen=True)
class Asked:
    """An object of a request. A member that is null counts as missing, as both dialects have it."""

    members: Mapping[str, object]
    place: str = ""

    def param(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def get(self, name: str) -> object:
        return self.members.get(name)

    def text(self, name: str) -> str | None:
        return self._of(name, str, "text")

    def flag(self, name: str) -> bool | None:
        return self._of(name, bool, "true or false")

    def object(self, name: str) -> "Asked | None":
        value = self._of(name, dict, "an object")
        return None if value is None else Asked(value, self.param(name))

    def number(self, name: str) -> float | None:
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value in (math.inf, -math.inf):
            raise self.wrong(name, "a number")
        return value

    def count(self, name: str) -> int | None:
        value = self.number(name)
        if value is not None and value != int(value):
            raise self.wrong(name, "a whole number")
        return None if value is None else int(value)

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise Untranslatable(f"{self.param(name)} is required", self.param(name), "missing_required_parameter")
        return value

    def objects(self, name: str) -> "Sequence[Asked]":
        """The objects of a list; none where it is missing."""
        items = self._of(name, list, "a list of objects") or []
        if not all(isinstance(item, dict) for item in items):
            raise self.wrong(name, "a list of objects")
        return [Asked(item, f"{self.param(name)}[{index}]") for index, item in enumerate(items)]

    def texts(self, name: str) -> list[str] | None:
        """A list of texts, or a single one as a list of one."""
        value = self.get(name)
        if value is None:
            return None
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise self.wrong(name, "text or a list of texts")
        return items

    def wrong(self, name: str, expected: str) -> Untranslatable:
        return Untranslatable(f"{self.param(name)} must be {expected}", self.param(name), "invalid_type")

    def _of(self, name: str, kind: type[T], expected: str) -> T | None:
        value = self.get(name)
        if value is not None and not isinstance(value, kind):
            raise self.wrong(name, expected)
        return value


def asked(body: bytes) -> Asked:
    """The request of the body, whatever its content type says."""
    try:
        return Asked(read_object(body))
    except ValueError as error:
        reason = "bad UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise Untranslatable(f"the body is no JSON object: {reason}", code="invalid_json") from None
