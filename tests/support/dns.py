"""A DNS server for one test: what it answers can be changed while it runs, and whether it does (RFC 1035, 4.1)."""

import ipaddress
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HEADER = struct.Struct("!6H")
A = 1
ANSWERED = 0x8180  # an answer, recursion wanted and available
TTL = 1  # second
POINTER_TO_QUESTION = 0xC00C
SERVER_FAILURE = 2
NO_SUCH_NAME = 3


class Names(dict[str, tuple[str, ...]]):
    """IPv4 addresses by name."""

    port = 0
    # What answers say went wrong, and whether there are none at all.
    failure = 0
    silent = False
    asked = 0


@contextmanager
def dns_server() -> Iterator[Names]:
    """Serves on UDP; names that it does not know have no address."""
    names = Names()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, sock = self.request
            names.asked += 1
            if not names.silent:
                sock.sendto(_answer(query, names), self.client_address)

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler) as server:
        names.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield names
        finally:
            server.shutdown()
            thread.join()


def _answer(query: bytes, names: Names) -> bytes:
    name, end = _name(query)
    question = query[HEADER.size : end + 4]
    (kind,) = struct.unpack_from("!H", query, end)
    addresses = names.get(name, ()) if kind == A and not names.failure else ()
    records = b"".join(
        struct.pack("!3HIH", POINTER_TO_QUESTION, A, 1, TTL, 4) + ipaddress.IPv4Address(address).packed
        for address in addresses
    )
    (number,) = struct.unpack_from("!H", query)
    return HEADER.pack(number, ANSWERED | names.failure, 1, len(addresses), 0, 0) + question + records


def _name(query: bytes) -> tuple[str, int]:
    """The name that is asked for, and where it ends."""
    labels, at = [], HEADER.size
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), at + 1
