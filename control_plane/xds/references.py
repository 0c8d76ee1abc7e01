"""Where the resources of Envoy refer to secrets, at any depth and inside extensions."""

from collections.abc import Callable, Iterator

from envoy.extensions.transport_sockets.quic.v3 import quic_transport_pb2 as _quic  # noqa: F401 - known to the pool
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as secret_pb
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as ProtoAny
from google.protobuf.message import Message

from control_plane.xds.packing import TYPE_PREFIX, packed

Visitor = Callable[[secret_pb.SdsSecretConfig], None]


def visit_secret_references(message: Message, visit: Visitor) -> None:
    """Shows each reference inside the message to the visitor, which may change it."""
    if isinstance(message, secret_pb.SdsSecretConfig):
        visit(message)
    elif isinstance(message, ProtoAny):
        if (inner := _known(message)) is not None:
            visit_secret_references(inner, visit)
            message.CopyFrom(packed(inner))
    else:
        for inner in _messages_in(message):
            visit_secret_references(inner, visit)


def _messages_in(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if not field.is_repeated:
            yield value
        elif not field.message_type.GetOptions().map_entry:
            yield from value
        elif field.message_type.fields_by_name["value"].message_type is not None:
            yield from value.values()


def _known(wrapped: ProtoAny) -> Message | None:
    """What is in it; None for extensions that our generated messages do not know, none of which has secrets."""
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(wrapped.type_url.removeprefix(TYPE_PREFIX))
    except KeyError:
        return None
    message = message_factory.GetMessageClass(descriptor)()
    message.ParseFromString(wrapped.value)
    return message
