"""Envoy's messages as what they say, and what it is told, as messages: nothing behind this module knows protobuf.

Bodies go both ways in pieces (FULL_DUPLEX_STREAMED): Envoy sends a direction's head and body as they come, and passes
on nothing of either before it is told. Its last piece is often empty; trailers, where there are any, end a direction.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc_pb
from google.protobuf.message import DecodeError

from llm_providers.translation import Answered
from service_kit.contract import TRANSLATED_ATTRIBUTE, TRANSLATED_DETAILS

PIECE: Final = 1 << 16
FILTER: Final = "envoy.filters.http.ext_proc"
# Who made an answer: this, or the reason why Envoy answers itself.
FROM_UPSTREAM: Final = "via_upstream"


class Unreadable(ValueError):  # noqa: N818 - named for what is wrong with the message
    """A message that Envoy does not send to a filter that is configured for this process."""


class Side(StrEnum):
    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True)
class Head:
    """Headers by name. `ends`: without a body. `details`: who made an answer, empty where Envoy does not say it."""

    side: Side
    fields: Mapping[str, str]
    ends: bool = False
    details: str = ""


@dataclass(frozen=True)
class Part:
    """A piece of a body."""

    side: Side
    data: bytes
    ends: bool = False


@dataclass(frozen=True)
class Trailers:
    """The end of a direction whose body did not end it."""

    side: Side


Event = Head | Part | Trailers


def read(raw: bytes) -> Event:
    """What a ProcessingRequest says."""
    try:
        message = ext_proc_pb.ProcessingRequest.FromString(raw)
    except DecodeError as error:
        raise Unreadable("no ProcessingRequest") from error
    match message.WhichOneof("request"):
        case "request_headers":
            return _head(Side.REQUEST, message.request_headers, message)
        case "request_body":
            return Part(Side.REQUEST, message.request_body.body, message.request_body.end_of_stream)
        case "request_trailers":
            return Trailers(Side.REQUEST)
        case "response_headers":
            return _head(Side.RESPONSE, message.response_headers, message)
        case "response_body":
            return Part(Side.RESPONSE, message.response_body.body, message.response_body.end_of_stream)
        case "response_trailers":
            return Trailers(Side.RESPONSE)
    raise Unreadable("a message without a part of a call")


# Any: the generated code has no types
def _head(side: Side, headers: Any, message: Any) -> Head:
    fields = {item.key: (item.raw_value or item.value.encode()).decode("latin-1") for item in headers.headers.headers}
    said = message.attributes[FILTER].fields if FILTER in message.attributes else {}
    return Head(
        side,
        fields,
        headers.end_of_stream,
        said[TRANSLATED_ATTRIBUTE].string_value if TRANSLATED_ATTRIBUTE in said else "",
    )


def head(side: Side, fields: Mapping[str, str], removed: Sequence[str] = ()) -> bytes:
    """Lets a head pass, with these headers in place of its own."""
    common = ext_proc_pb.CommonResponse(header_mutation=_changes(fields, removed))
    return _serialized(f"{side}_headers", ext_proc_pb.HeadersResponse(response=common))


def body(side: Side, data: bytes, *, ends: bool) -> Iterator[bytes]:
    """A piece of a body, in as many messages as it takes: none for nothing, unless it ends the direction."""
    for start in range(0, len(data), PIECE):
        yield _piece(side, data[start : start + PIECE], ends=ends and start + PIECE >= len(data))
    if ends and not data:
        yield _piece(side, b"", ends=True)


def trailers(side: Side) -> bytes:
    """Lets trailers pass."""
    return _serialized(f"{side}_trailers", ext_proc_pb.TrailersResponse())


def answer(answered: Answered) -> bytes:
    """An answer in place of the upstream's."""
    immediate = ext_proc_pb.ImmediateResponse(
        body=answered.body, headers=_changes({"content-type": answered.content_type}), details=TRANSLATED_DETAILS
    )
    immediate.status.code = answered.status
    return _serialized("immediate_response", immediate)


def _piece(side: Side, data: bytes, *, ends: bool) -> bytes:
    streamed = ext_proc_pb.StreamedBodyResponse(body=data, end_of_stream=ends)
    common = ext_proc_pb.CommonResponse(body_mutation=ext_proc_pb.BodyMutation(streamed_response=streamed))
    return _serialized(f"{side}_body", ext_proc_pb.BodyResponse(response=common))


# Any: as above
def _changes(fields: Mapping[str, str], removed: Sequence[str] = ()) -> Any:
    changes = ext_proc_pb.HeaderMutation(remove_headers=removed)
    for name, value in fields.items():
        option = changes.set_headers.add(append_action=base_pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
        option.header.key, option.header.raw_value = name, value.encode("latin-1")
    return changes


# Any: as above
def _serialized(member: str, value: Any) -> bytes:
    serialized: bytes = ext_proc_pb.ProcessingResponse(**{member: value}).SerializeToString()
    return serialized
