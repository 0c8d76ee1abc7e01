"""An HTTPS server that answers every GET with what it saw of the connection."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def tls_peer(
    folder: Path,
    pair: tuple[str, str],
    *,
    client_ca: str | None = None,
    newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> Iterator[int]:
    """Its port. It shows the certificate of the pair; where there is a `client_ca`, it asks for one of that."""
    context = _context(folder, pair)
    context.maximum_version = newest
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_ca)
    server = _Server(context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._context = context

    def get_request(self) -> tuple[ssl.SSLSocket, object]:
        """The handshake is made by the handler, in its own thread."""
        connection, address = super().get_request()
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: object, client_address: object) -> None:
        """Peers that do not trust us hang up, which is what is tested."""


def _context(folder: Path, pair: tuple[str, str]) -> ssl.SSLContext:
    file = folder / "peer.pem"  # Python loads certificates from files alone
    file.write_text("".join(pair))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.sni_callback = lambda sock, name, _context: setattr(sock, "asked_for", name)
    return context


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        self.request.do_handshake()
        super().setup()

    def do_GET(self) -> None:
        seen = {
            "version": self.request.version(),
            "alpn": self.request.selected_alpn_protocol(),
            "sni": getattr(self.request, "asked_for", None),
            "client": bool(self.request.getpeercert()),
            "headers": dict(self.headers.items()),
        }
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
