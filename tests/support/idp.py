"""An identity provider on this machine: a real server with a discovery document and a key set, and it can fail.

It stands on an address of 127.66.0.0/16, which is loopback all the same. What it answers is the test's: its keys, or a
script of answers in their place. It counts what it is asked.
"""

import json
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.support.certificates import Authority

HOST = "127.66.0.1"
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"
AUDIENCE = "gateway"

# Writes an answer of a test's own.
Answer = Callable[[BaseHTTPRequestHandler], None]


class Idp:
    """One issuer. Its keys are named; the last one signs, unless a test says otherwise."""

    def __init__(self, host: str, tls: ssl.SSLContext | None) -> None:
        self.asked: Counter[str] = Counter()
        self.answers: dict[str, Answer] = {}
        self.members: dict[str, Any] = {}
        self._tls = tls
        self._host = host
        self._port = 0
        self._private: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._published: list[str] = []
        self._server: ThreadingHTTPServer | None = None
        self.publish("k1")

    @property
    def issuer(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self._host}:{self._port}"

    @property
    def keys_url(self) -> str:
        return self.issuer + KEYS

    def publish(self, *kids: str) -> None:
        """From now on, these are its keys."""
        for kid in kids:
            self._private.setdefault(kid, ec.generate_private_key(ec.SECP256R1()))
        self._published = list(kids)

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.jwk(kid) for kid in self._published]}

    def jwk(self, kid: str) -> dict[str, Any]:
        public = ECAlgorithm.to_jwk(self._private[kid].public_key(), as_dict=True)
        return {**public, "kid": kid, "use": "sig", "alg": "ES256"}

    def discovery(self) -> dict[str, Any]:
        return {"issuer": self.issuer, "jwks_uri": self.keys_url, **self.members}

    def token(self, kid: str | None = None, *, typ: str = "JWT", **claims: Any) -> str:
        """A good token of now, signed by the key of this name, published or not."""
        kid = kid or self._published[-1]
        now = int(time.time())
        whole = {"iss": self.issuer, "aud": AUDIENCE, "sub": "ada", "iat": now - 5, "exp": now + 600, **claims}
        key = self._private.setdefault(kid, ec.generate_private_key(ec.SECP256R1()))
        return jwt.encode(whole, key, "ES256", headers={"kid": kid, "typ": typ})

    def start(self) -> None:
        """Listens, at the same port as before."""
        self._server = _Server((self._host, self._port), _handler(self))
        self._port = self._server.server_address[1]
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle of an answer is what some tests are about."""


def _handler(idp: Idp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            idp.asked[self.path] += 1
            documents = {DISCOVERY: idp.discovery, KEYS: idp.jwks}
            if self.path in idp.answers:
                idp.answers[self.path](self)
            elif self.path in documents:
                answered(200, json.dumps(documents[self.path]()))(self)
            else:
                answered(404, "")(self)

        def log_message(self, *_args: Any) -> None:
            pass

    return Handler


def answered(status: int, body: str | bytes, **headers: str) -> Answer:
    """An answer with this body."""

    def write(request: BaseHTTPRequestHandler) -> None:
        data = body.encode() if isinstance(body, str) else body
        request.send_response(status)
        for name, value in {"content-length": str(len(data)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(data)

    return write


def redirected(to: str) -> Answer:
    return answered(302, "", location=to)


def endless(request: BaseHTTPRequestHandler) -> None:
    """A body that never ends; its length is not told."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" " * 65536)


def trickling(request: BaseHTTPRequestHandler) -> None:
    """A byte now and then: no single read takes long."""
    request.send_response(200)
    request.end_headers()
    for _ in range(600):
        request.wfile.write(b" ")
        request.wfile.flush()
        time.sleep(0.05)


def silent(_request: BaseHTTPRequestHandler) -> None:
    """Takes the question, and says nothing for longer than anybody waits."""
    time.sleep(30)


@contextmanager
def running_idp(*, host: str = HOST, authority: Authority | None = None) -> Iterator[Idp]:
    """A provider; with an authority it speaks TLS with a certificate for its address."""
    idp = Idp(host, None if authority is None else _tls(authority, host))
    idp.start()
    try:
        yield idp
    finally:
        idp.stop()


def _tls(authority: Authority, host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        files = (Path(folder) / "tls.crt", Path(folder) / "tls.key")
        for file, pem in zip(files, authority.issue(host), strict=True):
            file.write_text(pem)
        context.load_cert_chain(*files)
    return context
