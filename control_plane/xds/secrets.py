"""Certificates, keys and credentials as secrets of their own (SDS).

They stay out of the configuration that Envoy's admin interface shows, and a changed one replaces the old without a new
listener or cluster.
"""

from collections.abc import Iterator

from envoy.config.core.v3 import config_source_pb2 as config_source_pb
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as secret_pb

from control_plane.ir.model import Gateway, Identification, Listener, Upstream
from control_plane.xds import names
from service_kit.settings import TlsFiles


def secrets(gateway: Gateway) -> Iterator[secret_pb.Secret]:
    """Every secret that a resource of this gateway refers to."""
    for listener in gateway.listeners:
        yield from listener_secrets(listener)
    for upstream in gateway.upstreams:
        yield from _upstream_secrets(upstream)
    if any(upstream.trusts_the_system for upstream in gateway.upstreams):
        yield authorities(names.SYSTEM_CA, gateway.system_ca)


def listener_secrets(listener: Listener) -> Iterator[secret_pb.Secret]:
    """The secrets that only this listener refers to."""
    if listener.tls is not None:
        yield certificate(names.listener_secret(listener.name, names.CERTIFICATE), listener.tls.identification)
        if listener.tls.clients is not None:
            yield authorities(names.listener_secret(listener.name, names.CA), listener.tls.clients.authorities)


def own_secrets(files: TlsFiles | None) -> Iterator[secret_pb.Secret]:
    """Our own certificate and authority where Envoy runs: what is sent are names of files, which it follows."""
    if files is None:
        return
    own = secret_pb.Secret(name=names.OWN_CERTIFICATE)
    own.tls_certificate.certificate_chain.filename = str(files.certificate)
    own.tls_certificate.private_key.filename = str(files.private_key)
    yield own
    trusted = secret_pb.Secret(name=names.OWN_CA)
    trusted.validation_context.trusted_ca.filename = str(files.authority)
    yield trusted


def _upstream_secrets(upstream: Upstream) -> Iterator[secret_pb.Secret]:
    if upstream.tls is not None and upstream.tls.ca is not None:
        yield authorities(names.upstream_secret(upstream.name, names.CA), upstream.tls.ca)
    if upstream.tls is not None and upstream.tls.identification is not None:
        yield certificate(names.upstream_secret(upstream.name, names.CERTIFICATE), upstream.tls.identification)
    if upstream.credential is not None:
        secret = secret_pb.Secret(name=names.upstream_secret(upstream.name, names.CREDENTIAL))
        secret.generic_secret.secret.inline_bytes = upstream.credential.value.reveal()
        yield secret


def certificate(name: str, pair: Identification) -> secret_pb.Secret:
    """A certificate chain and its private key."""
    secret = secret_pb.Secret(name=name)
    secret.tls_certificate.certificate_chain.inline_string = pair.certificate
    secret.tls_certificate.private_key.inline_bytes = pair.private_key.reveal()
    return secret


def authorities(name: str, pem: str) -> secret_pb.Secret:
    """Who signs the certificates of the other side."""
    secret = secret_pb.Secret(name=name)
    secret.validation_context.trusted_ca.inline_string = pem
    return secret


def over_ads() -> config_source_pb.ConfigSource:
    """Where Envoy gets what is named: on the stream that brought the name."""
    source = config_source_pb.ConfigSource(resource_api_version=config_source_pb.V3)
    source.ads.SetInParent()
    return source
