"""Listeners as they are meant."""

from control_plane.config import model as config
from control_plane.ir import model as ir


def listener(name: str, written: config.Listener) -> ir.Listener:
    """The listener of this name; networks are sorted, encodings stand as preferred."""
    return ir.Listener(
        name=name,
        address=ir.Address(written.address.host, written.address.port),
        tls=None if written.tls is None else _tls(written.tls),
        http3=written.http3,
        https_redirect=written.https_redirect,
        trusted_proxies=tuple(sorted(written.trusted_proxies)),
        compression=written.compression,
        max_connections=written.max_connections,
        groups=frozenset(written.groups),
    )


def _tls(written: config.ListenerTls) -> ir.ListenerTls:
    key = ir.Secret(written.private_key.get_secret_value().encode())
    return ir.ListenerTls(
        identification=ir.Identification(written.certificate.get_secret_value(), key),
        minimum_version=written.minimum_version,
        clients=_clients(written),
    )


def _clients(written: config.ListenerTls) -> ir.ClientCertificates | None:
    if written.client_ca is None:
        return None
    return ir.ClientCertificates(
        written.client_ca.get_secret_value(), required=written.client_certificate == "required"
    )
