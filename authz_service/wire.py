"""Reads the control plane's messages: whole or not at all, nothing in them that this process would not enforce.

PolicyRejected becomes the NACK that an administrator sees: it names the culprit and never quotes a secret.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from service_kit.identity_part import UnusablePart, identity_part
from service_kit.subscription import PolicyRejected

M = TypeVar("M", bound=Message)


def parsed(kind: type[M], data: bytes, what: str) -> M:
    """The message in these bytes."""
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise PolicyRejected(f"{what} is no {kind.DESCRIPTOR.name} message") from error
    if _has_unknown_fields(message):
        raise PolicyRejected(f"{what} has fields this authorizer does not know: upgrade it first")
    return message


def optional(text: str, what: str) -> str | None:
    """A part of an identity; None where it is empty."""
    return part(text, what) if text else None


def part(text: str, what: str) -> str:
    """A part of an identity, in the characters in which it travels."""
    try:
        return identity_part(text)
    except UnusablePart as error:
        raise PolicyRejected(f"{what} {error}") from error


def unique(what: str, names: Iterable[str]) -> None:
    """Refuses names that are there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise PolicyRejected(f"{what} {name!r} is there twice")
        seen.add(name)


def _has_unknown_fields(message: Message) -> bool:
    """Whether a newer control plane says something, at any depth, that this process would silently not enforce."""
    return len(UnknownFieldSet(message)) > 0 or any(_has_unknown_fields(child) for child in _children(message))


def _children(message: Message) -> Iterator[Message]:
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            yield from value if descriptor.is_repeated else (value,)
