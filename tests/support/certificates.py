"""Certificates for TLS on this machine, made anew by each test."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service_kit.peers import Role
from service_kit.settings import TlsFiles


class Authority:
    """Signs certificates, and is the PEM text of its own."""

    def __init__(self, name: str = "test authority") -> None:
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = _certificate(name, self._key.public_key(), name, self._key, is_ca=True)
        self.pem = own.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, *names: str, days: int = 1) -> tuple[str, str]:
        """A certificate for these hosts, addresses and URIs, and its key, as PEM; expired where `days` is negative."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _certificate(names[0], key.public_key(), self._name, self._key, is_ca=False, names=names, days=days)
        return leaf.public_bytes(serialization.Encoding.PEM).decode(), pem_of(key)


def pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def certificates(folder: Path) -> TlsFiles:
    """An authority, and a pair for `localhost` that may be anybody on both sides."""
    return issued(Authority(), folder, *(f"spiffe://test/tollgate/{role}" for role in Role))


def issued(authority: Authority, folder: Path, *names: str, days: int = 1) -> TlsFiles:
    """A pair for `localhost` and these names, in files that are each replaced in one step."""
    folder.mkdir(exist_ok=True)
    files = TlsFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
    certificate, key = authority.issue("localhost", *names, days=days)
    for file, pem in ((files.private_key, key), (files.certificate, certificate), (files.authority, authority.pem)):
        replaced(file, pem)
    return files


def replaced(file: Path, pem: str) -> None:
    """Renamed into place, as tools that renew certificates do it."""
    fresh = file.with_suffix(".new")
    fresh.write_text(pem)
    fresh.rename(file)


def client_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        files.authority.read_bytes(), files.private_key.read_bytes(), files.certificate.read_bytes()
    )


def _certificate(
    subject: str,
    key: ec.EllipticCurvePublicKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool,
    names: Sequence[str] = ("localhost",),
    days: int = 1,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=30))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .sign(signer, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
