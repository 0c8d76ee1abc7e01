"""Whom a client certificate stands for: one name of it, of the kind that was chosen, against names that are declared.

Envoy has verified the chain before a request is read. Here names are taken from where they belong in the certificate,
so that a host name which looks like a SPIFFE ID, or a common name which looks like a host, is neither. A certificate
that could stand for two clients stands for none.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from authz_service.wire import optional, part, unique
from service_kit.certificate_names import UNREADABLE, alternative_names
from service_kit.subscription import PolicyRejected
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

_SPIFFE: Final = "spiffe://"
# SPIFFE-ID, 2: no escapes, no query, and below no segment that a reader could resolve into another path.
_SPIFFE_ID: Final = re.compile(r"spiffe://[a-z0-9._-]+(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)*")
Subject = policy_pb.CertificateName


class UnusableCertificate(ValueError):  # noqa: N818 - a verdict on data, mapped to a denial in checks/mtls.py
    """A certificate that says nothing that could be asked for; the message is a reason for the log."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is asked of a certificate: names by kind, its end in seconds since the epoch, and its SHA-256 in hex."""

    uris: tuple[str, ...]
    hosts: tuple[str, ...]
    common_names: tuple[str, ...]
    expires: float
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Client:
    """What a declared client is given; the parts as they travel."""

    name: str
    tenant: str | None
    consumer: str | None
    plan: str | None
    scopes: frozenset[str]
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Clients:
    """The declared clients by name, and by what names of the others begin or end with, the longest first."""

    subject: "Subject"
    exact: Mapping[str, Client]
    patterns: tuple[tuple[str, Client], ...]

    @property
    def declared(self) -> tuple[Client, ...]:
        return (*self.exact.values(), *(client for _, client in self.patterns))

    def found(self, certificate: Certificate, now: float) -> tuple[str, Client]:
        """The name that counts, and whose it is."""
        if now >= certificate.expires:
            raise UnusableCertificate("expired")
        known = [(name, client) for name in self._names(certificate) if (client := self._client(name)) is not None]
        if len(known) > 1:
            raise UnusableCertificate("ambiguous_names")
        if not known:
            raise UnusableCertificate("unknown_name")
        return known[0]

    def _names(self, certificate: Certificate) -> tuple[str, ...]:
        if self.subject == Subject.CERTIFICATE_NAME_DNS:
            return tuple(dict.fromkeys(name.lower() for name in certificate.hosts if "*" not in name))
        if self.subject == Subject.CERTIFICATE_NAME_COMMON_NAME:
            return certificate.common_names
        # X.509-SVID, 2: a certificate with two URIs is no identity document.
        return certificate.uris if len(certificate.uris) == 1 and _SPIFFE_ID.fullmatch(certificate.uris[0]) else ()

    def _client(self, name: str) -> Client | None:
        return self.exact.get(name) or next((client for edge, client in self.patterns if _has(name, edge)), None)


def clients(message: policy_pb.MtlsSettings) -> Clients:
    """The clients in this message."""
    if message.subject not in Subject.values() or message.subject == Subject.CERTIFICATE_NAME_UNSPECIFIED:
        raise PolicyRejected("client certificates are known by no kind of name")
    unique("mtls client", (client.name for client in message.clients))
    exact, patterns = {}, []
    for entry in message.clients:
        if not entry.name.strip("*"):
            raise PolicyRejected(f"mtls client {entry.name!r} would be everybody")
        if "*" in entry.name:
            patterns.append((_edge(entry.name), _client(entry)))
        else:
            exact[entry.name] = _client(entry)
    return Clients(message.subject, exact, tuple(sorted(patterns, key=lambda item: (-len(item[0]), item[0]))))


@lru_cache(maxsize=1024)  # connections are few, requests many
def certificate(url_encoded: str) -> Certificate:
    """The certificate as Envoy hands it over; UnusableCertificate where nothing can be read."""
    try:
        found = x509.load_pem_x509_certificate(unquote_to_bytes(url_encoded))
        alternative = alternative_names(found)
        return Certificate(
            uris=tuple(alternative.get_values_for_type(x509.UniformResourceIdentifier)),
            hosts=tuple(alternative.get_values_for_type(x509.DNSName)),
            common_names=tuple(str(name.value) for name in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)),
            expires=found.not_valid_after_utc.timestamp(),
            fingerprint=found.fingerprint(SHA256()).hex(),
        )
    except UNREADABLE as error:
        raise UnusableCertificate("unreadable") from error


def _client(entry: policy_pb.MtlsClient) -> Client:
    what = f"of mtls client {entry.name!r}"
    return Client(
        name=entry.name,
        tenant=optional(entry.tenant, f"tenant {what}"),
        consumer=optional(entry.consumer, f"consumer {what}"),
        plan=optional(entry.plan, f"plan {what}"),
        scopes=frozenset(entry.scopes),
        roles=frozenset(entry.roles),
    )


def _edge(pattern: str) -> str:
    """`spiffe://a/b/` of `spiffe://a/b/*`, `.a.com` of `*.a.com`."""
    if pattern.startswith(_SPIFFE) and pattern.endswith("/*") and pattern.count("*") == 1:
        return pattern.removesuffix("*")
    if pattern.startswith("*.") and pattern.count("*") == 1:
        return pattern.removeprefix("*")
    raise PolicyRejected(f"mtls client {pattern!r} is no pattern: write spiffe://DOMAIN/PATH/* or *.DOMAIN")


def _has(name: str, edge: str) -> bool:
    matches = name.endswith(edge) if edge.startswith(".") else name.startswith(edge)
    return matches and len(name) > len(edge)


def subject_of(name: str) -> str:
    """The name in the characters in which it travels; UnusableCertificate where it cannot."""
    try:
        return part(name, "the name")
    except PolicyRejected as error:
        raise UnusableCertificate("unusable_name") from error
