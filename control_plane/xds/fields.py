"""Messages as the fields they are made of: put together and taken apart as bytes, without a look into each.

The encoding is protobuf's (https://protobuf.dev/programming-guides/encoding): a message is its fields in any order,
each a key of number and wire type with what it holds. Ours stand in the order of their numbers, as serialized ones do.
"""

from typing import Final

from google.protobuf.message import Message

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
FIXED_SIZES: Final = {FIXED64: 8, FIXED32: 4}
MORE: Final = 0x80  # another byte of the number follows


def field(message: type[Message], name: str, content: bytes) -> bytes:
    """One entry of a message's repeated field of messages."""
    key = _number(message, name) << 3 | DELIMITED
    return b"".join((_varint(key), _varint(len(content)), content))


def parted(message: type[Message], name: str, content: bytes) -> tuple[list[bytes], bytes]:
    """The entries of a repeated field of messages, and what else the message holds; ValueError where it is cut."""
    wanted = _number(message, name) << 3 | DELIMITED
    entries: list[bytes] = []
    others: list[bytes] = []
    start = 0
    while start < len(content):
        key, at = _read_varint(content, start)
        begin, end = _extent(content, key & 7, at)
        if end > len(content):
            raise ValueError("a field is cut short")
        if key == wanted:
            entries.append(content[begin:end])
        else:
            others.append(content[start:end])
        start = end
    return entries, b"".join(others)


def first_field(message: type[Message], name: str, content: bytes) -> tuple[bytes, bytes]:
    """What the first field of a message holds, which is this one, and the rest; ValueError where another is first."""
    key, at = _read_varint(content, 0)
    if key != _number(message, name) << 3 | DELIMITED:
        raise ValueError(f"the first field is not {name}")
    begin, end = _extent(content, DELIMITED, at)
    return content[begin:end], content[end:]


def _number(message: type[Message], name: str) -> int:
    number: int = message.DESCRIPTOR.fields_by_name[name].number
    return number


def _extent(content: bytes, wire_type: int, at: int) -> tuple[int, int]:
    """Where what a field holds begins and ends; it may not all be there."""
    if wire_type == DELIMITED:
        size, begin = _read_varint(content, at)
        return begin, begin + size
    if wire_type == VARINT:
        return at, _read_varint(content, at)[1]
    if wire_type not in FIXED_SIZES:
        raise ValueError(f"there is no wire type {wire_type}")
    return at, at + FIXED_SIZES[wire_type]


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= MORE:
        encoded.append(value & 0x7F | MORE)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    """The number that stands here, and where it ends."""
    value = shift = 0
    while at < len(content):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < MORE:
            return value, at
        shift += 7
    raise ValueError("a number is cut short")
