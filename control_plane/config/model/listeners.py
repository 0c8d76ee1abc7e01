"""Where clients connect, and how their connections are read."""

from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from control_plane.config.model.base import Model, Unique
from control_plane.config.model.secrets import Authorities, CertificateChain, PrivateKey, check_pair
from control_plane.config.values.base import Mistake
from control_plane.config.values.network import Address, Network
from control_plane.config.values.quantities import Between, Port
from control_plane.config.values.text import Name

Compression = Literal["gzip", "brotli", "zstd"]
MostConnections = Annotated[int, Between(1, 1_000_000)]


def _not_everybody(networks: tuple[str, ...]) -> tuple[str, ...]:
    cure = "name the networks that only your proxies are in"
    found = tuple(map(ip_network, networks))
    old = collapse_addresses(network for network in found if isinstance(network, IPv4Network))
    new = collapse_addresses(network for network in found if isinstance(network, IPv6Network))
    if any(network.prefixlen == 0 for network in old) or any(network.prefixlen == 0 for network in new):
        raise Mistake("the networks hold everybody: any client could say who it is", cure)
    return networks


class ListenerTls(Model):
    """The certificate that a listener shows, and those that it asks for."""

    certificate: CertificateChain = Field(
        description="certificate chain as PEM, the listener's own first; best `file:PATH`"
    )
    private_key: PrivateKey = Field(description="its private key as PEM; best `file:PATH`")
    client_ca: Authorities | None = Field(None, description="authorities that sign clients' certificates: mutual TLS")
    client_certificate: Literal["required", "optional"] = Field(
        "required", description="whether a client without a certificate is refused, where there is a `client_ca`"
    )
    minimum_version: Literal["1.2", "1.3"] = Field("1.2", description="oldest version of TLS that is spoken")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        check_pair(self.certificate, self.private_key)
        if self.client_ca is None and "client_certificate" in self.model_fields_set:
            cure = "name the authorities that sign clients' certificates as `client_ca`"
            raise Mistake("no client is asked for a certificate", cure, at=("client_certificate",))
        return self


class Listener(Model):
    """An address on which clients reach the routes."""

    address: Address = Field(description="IP:PORT to listen on")
    tls: ListenerTls | None = Field(None, description="TLS with HTTP/1.1 and HTTP/2; without it, clear text")
    http3: bool = Field(default=False, description="HTTP/3 too, on the same port over UDP; needs `tls`")
    https_redirect: Port | None = Field(
        None, description="answers every request with a redirect to https on this port; routes are not served here"
    )
    trusted_proxies: Annotated[tuple[Network, ...], Unique, AfterValidator(_not_everybody)] = Field(
        (),
        description="networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; nobody's if empty",
    )
    compression: Annotated[tuple[Compression, ...], Unique] = Field(
        (),
        description="encodings of answers, the preferred one first, for clients that accept them; off where empty. "
        "Event streams are left alone by `zstd`, which would hold them back",
    )
    max_connections: MostConnections | None = Field(
        None,
        description="connections at a time; more are closed at once. Those over HTTP/3 and those of trusted proxies "
        "are counted apart. Without it, only the process's own bound",
    )
    groups: Annotated[tuple[Name, ...], Unique] = Field(
        (),
        description="groups of Envoys that open it, by their `--node-group`; those of every group and of none if empty",
    )

    def is_for(self, group: str) -> bool:
        """Whether an Envoy of this group opens it."""
        return not self.groups or group in self.groups

    @model_validator(mode="after")
    def _needs_tls(self) -> Self:
        if self.http3 and self.tls is None:
            raise Mistake("HTTP/3 is always encrypted", "add `tls`, or drop `http3`", at=("http3",))
        if self.https_redirect is not None and self.tls is not None:
            cure = "redirect on a clear-text listener beside this one"
            raise Mistake("a listener with `tls` redirects nobody to https", cure, at=("https_redirect",))
        return self

    @model_validator(mode="after")
    def _answers_to_compress(self) -> Self:
        if self.https_redirect is not None and self.compression:
            raise Mistake("a redirect has nothing to compress", "drop `compression`", at=("compression",))
        return self
