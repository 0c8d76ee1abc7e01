"""Compression by listener."""

from typing import get_args

from control_plane.config.model import Compression
from control_plane.ir.model import Address, Listener
from control_plane.xds.filters import compression


def listener(*encodings: str) -> Listener:
    return Listener("public", Address("127.0.0.1", 8800), compression=encodings)


def test_every_word_of_the_language_has_a_library() -> None:
    assert set(compression.ENCODINGS) == set(get_args(Compression))


def test_one_instance_an_encoding_in_the_listeners_order() -> None:
    assert [link.name for link in compression.filters(listener("zstd", "gzip"))] == [
        "tollgate.compression.zstd", "tollgate.compression.gzip",
    ]  # fmt: skip
    assert compression.filters(listener()) == ()
