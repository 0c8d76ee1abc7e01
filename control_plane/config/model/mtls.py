"""Clients that are known by the certificate of their connection."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from control_plane.config.model.base import Model, Some, Unique
from control_plane.config.values.base import Mistake
from control_plane.config.values.network import HOST_PATTERN
from control_plane.config.values.text import Name, Text, Word
from service_kit.identity_part import LONGEST_PART

CertificateSubject = Literal["spiffe", "dns", "common_name"]
# SPIFFE-ID, 2: a trust domain in small letters, then segments, none of them dots alone.
SPIFFE_NAME: Final = re.compile(r"spiffe://[a-z0-9._-]+(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)*(/\*)?")
NAMES: Final = {
    "spiffe": (SPIFFE_NAME, "is no SPIFFE ID", "write spiffe://DOMAIN/PATH, or spiffe://DOMAIN/PATH/* for all below"),
    "dns": (re.compile(HOST_PATTERN), "is no host name", "write client.example.com, or *.example.com for all below"),
    "common_name": (re.compile(r"[^*]+"), "is no common name", "write it as it stands in the certificate"),
}


class MtlsClient(Model):
    """A client, or all whose names match a pattern, and what they are given."""

    name: Text = Field(description="the name in the certificate; `spiffe://DOMAIN/PATH/*` and `*.DOMAIN` are patterns")
    tenant: Word | None = Field(None, description="the organisation")
    consumer: Name | None = Field(None, description="a declared consumer; without it, the name in the certificate")
    plan: Name | None = Field(None, description="the plan; a declared consumer's plan comes first")
    scopes: Annotated[tuple[Word, ...], Unique] = Field((), description="the scopes it holds")
    roles: Annotated[tuple[Word, ...], Unique] = Field((), description="the roles it holds")


class Mtls(Model):
    """Client certificates as credentials, on listeners with a `client_ca`."""

    subject: CertificateSubject = Field(
        description="which name counts: the one SPIFFE URI, a DNS name, or the common name; others are never looked at"
    )
    clients: Annotated[tuple[MtlsClient, ...], Some] = Field(description="who is known; any other certificate is 401")

    @model_validator(mode="after")
    def _names_of_this_kind(self) -> Self:
        pattern, message, cure = NAMES[self.subject]
        first: dict[str, int] = {}
        for index, client in enumerate(self.clients):
            at = ("clients", index, "name")
            if not pattern.fullmatch(client.name) or len(client.name) > LONGEST_PART:
                raise Mistake(message, cure, value=client.name, at=at)
            if first.setdefault(client.name, index) != index:
                raise Mistake(f"is that of entry {first[client.name] + 1}, too", "drop one", value=client.name, at=at)
        return self
