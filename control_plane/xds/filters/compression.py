"""Compressed answers for clients that accept them, where a listener asks for it.

The first encoding of the listener is taken where a client accepts several alike; of the others the client's order
decides. What is compressed already, and every kind of content that does not shrink, is left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from control_plane.ir.model import Listener
from control_plane.xds import names
from control_plane.xds.packing import TYPE_PREFIX, JsonValue, typed_struct

# The filter's list of content types is deprecated, and no library here knows what replaces it.
TYPE = "envoy.extensions.filters.http.compressor.v3.Compressor"
# A shorter answer fits into one packet as it is.
SHORTEST = 1024
PARTIAL_CONTENT = 206  # a part of what is not compressed cannot be joined with one of what is
TEXTS = (
    "application/javascript", "application/json", "application/manifest+json", "application/problem+json",
    "application/xhtml+xml", "application/xml", "image/svg+xml", "text/css", "text/csv", "text/html", "text/javascript",
    "text/markdown", "text/plain", "text/xml",
)  # fmt: skip
STREAMS = ("application/x-ndjson", "text/event-stream")


@dataclass(frozen=True)
class Encoding:
    """A library of Envoy; `flushes` where each piece of a stream leaves as it comes."""

    library: str
    flushes: bool


ENCODINGS: Mapping[str, Encoding] = {
    "gzip": Encoding("envoy.extensions.compression.gzip.compressor.v3.Gzip", flushes=True),
    "brotli": Encoding("envoy.extensions.compression.brotli.compressor.v3.Brotli", flushes=True),
    "zstd": Encoding("envoy.extensions.compression.zstd.compressor.v3.Zstd", flushes=False),
}


def filters(listener: Listener) -> tuple[HttpFilter, ...]:
    """One instance an encoding."""
    return tuple(
        HttpFilter(
            name=names.compression(encoding),
            typed_config=typed_struct(TYPE, _compressor(ENCODINGS[encoding], preferred=encoding == preferred)),
        )
        for preferred in listener.compression[:1]
        for encoding in listener.compression
    )


def _compressor(encoding: Encoding, *, preferred: bool) -> Mapping[str, JsonValue]:
    compressed = TEXTS + STREAMS if encoding.flushes else TEXTS
    return {
        "response_direction_config": {
            "common_config": {
                "min_content_length": SHORTEST,
                "content_type_matcher": [{"exact": content_type} for content_type in compressed],
            },
            "uncompressible_response_codes": [PARTIAL_CONTENT],
        },
        "compressor_library": {"name": "library", "typed_config": {"@type": TYPE_PREFIX + encoding.library}},
        "choose_first": preferred,
    }
