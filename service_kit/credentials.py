"""Mutual TLS with certificates that are renewed while a process runs: what the files hold now, if it can be used.

A certificate and a key that do not belong together, or half a file, change nothing: the ones before stay in use, and
the log says so once. Files are looked at when somebody connects, and when metrics are read.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from prometheus_client import CollectorRegistry, Counter, Gauge

from service_kit.endpoint import EndpointError
from service_kit.log import Logger
from service_kit.settings import TlsFiles

TAKEN: Final = "taken"
REFUSED: Final = "refused"

# What tells that files have changed; None where one of them is not there.
Signature = tuple[tuple[int, ...], ...] | None


class Unusable(Exception):  # noqa: N818 - it is the files that are unusable
    """Files that TLS cannot use; the message names the file and never what is in it."""


@dataclass(frozen=True)
class Credentials:
    """Certificate chain, private key and authorities as PEM; `expires` is that of the certificate, since the epoch."""

    certificate: bytes
    private_key: bytes = field(repr=False)
    authority: bytes
    expires: float

    def to_serve(self) -> grpc.ServerCertificateConfiguration:
        pair = (self.private_key, self.certificate)
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=self.authority)

    def to_call(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.authority, self.private_key, self.certificate)


class Certificates:
    """The newest usable credentials of three files."""

    def __init__(self, files: TlsFiles, first: Credentials, log: Logger, registry: CollectorRegistry) -> None:
        self._files = files
        self._log = log
        self._lock = threading.Lock()  # gRPC asks from threads of its own
        self._current = first
        self._seen: Signature = None
        self._reloads = Counter(
            "tollgate_tls_reloads", "Replaced TLS files of this process, by result", ["result"], registry=registry
        )
        for result in (TAKEN, REFUSED):
            self._reloads.labels(result)
        expiry = Gauge(
            "tollgate_tls_expiry_seconds",
            "When the TLS certificate of this process expires, in seconds since the epoch",
            registry=registry,
        )
        expiry.set_function(lambda: self.current().expires)

    def current(self) -> Credentials:
        """What the files hold, or what they held when they could last be used; the same object until they change."""
        with self._lock:
            signature = _signature(self._files)
            if signature != self._seen:
                self._seen = signature
                self._take()
            return self._current

    def _take(self) -> None:
        try:
            fresh = read_credentials(self._files)
        except Unusable as error:
            self._reloads.labels(REFUSED).inc()
            self._log.warning("TLS files not taken, the ones before stay in use", reason=str(error))
            return
        if fresh != self._current:
            self._current = fresh
            self._reloads.labels(TAKEN).inc()
            self._log.info("TLS files replaced", certificate=str(self._files.certificate))


def certificates(files: TlsFiles, log: Logger, registry: CollectorRegistry) -> Certificates:
    """The credentials of these files from now on; EndpointError where they cannot be used to begin with."""
    try:
        return Certificates(files, read_credentials(files), log, registry)
    except Unusable as error:
        raise EndpointError(str(error)) from error


def server_credentials(source: Certificates) -> grpc.ServerCredentials:
    """Mutual TLS with what the files hold at each handshake; a client needs a certificate of the authority."""
    served = source.current()

    def replacement() -> grpc.ServerCertificateConfiguration | None:
        nonlocal served
        current = source.current()
        if current is served:
            return None
        served = current
        return current.to_serve()

    return grpc.dynamic_ssl_server_credentials(
        served.to_serve(),
        replacement,  # type: ignore[arg-type]  # the stubs do not know that None stands for no change
        require_client_authentication=True,
    )


def read_credentials(files: TlsFiles) -> Credentials:
    """What the files hold; Unusable where TLS could not be spoken with it."""
    certificate, private_key, authority = map(_read, (files.certificate, files.private_key, files.authority))
    chain = _certificates(certificate, files.certificate)
    _certificates(authority, files.authority)
    try:
        key = load_pem_private_key(private_key, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise Unusable(f"{files.private_key} holds no private key that can be read without a password") from None
    if key.public_key() != chain[0].public_key():
        raise Unusable(f"{files.private_key} is not the key of the certificate in {files.certificate}")
    return Credentials(certificate, private_key, authority, chain[0].not_valid_after_utc.timestamp())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unusable(f"cannot read {error.filename}: {error.strerror}") from error


def _certificates(pem: bytes, file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise Unusable(f"{file} holds no certificate, or one that cannot be read") from None


def _signature(files: TlsFiles) -> Signature:
    try:
        found = [file.stat() for file in (files.certificate, files.private_key, files.authority)]
    except OSError:
        return None
    return tuple((item.st_dev, item.st_ino, item.st_size, item.st_mtime_ns, item.st_ctime_ns) for item in found)
