"""Credentials and consumers as they are meant."""

import hashlib
from collections.abc import Mapping

from control_plane.config import model as config
from control_plane.config.key_sets import key_source
from control_plane.ir import model as ir
from control_plane.ir.checks.api_keys import accepts_api_keys, declared_keys
from service_kit.api_keys import read_hash
from service_kit.verification_keys import UnusableKeys, usable_jwks


def jwt_issuer(issuer: config.JwtIssuer, files: Mapping[str, bytes]) -> ir.JwtIssuer:
    """The issuer, with its keys; `files` holds the content of each file by its name."""
    keys = issuer.keys
    return ir.JwtIssuer(
        name=issuer.name,
        issuer=issuer.issuer,
        audiences=tuple(sorted(issuer.audiences)),
        algorithms=tuple(sorted(issuer.algorithms)),
        secret=ir.Secret(keys.secret.get_secret_value().encode()) if isinstance(keys, config.SecretKeys) else None,
        jwks=_jwks(issuer, files),
        claims=ir.Claims(**issuer.claims.model_dump()),
        leeway=issuer.leeway,
        max_lifetime=issuer.max_lifetime,
        forward=issuer.forward,
        fetched=key_source(issuer) is not None,
        type=issuer.type,
        native=issuer.enforce == "envoy",
    )


def _jwks(issuer: config.JwtIssuer, files: Mapping[str, bytes]) -> str | None:
    """The key set; of a fetched one what can verify this issuer's tokens, None where that is nothing."""
    if isinstance(issuer.keys, config.FileKeys):
        return files[issuer.keys.file].decode()
    source = key_source(issuer)
    if source is None or source.name not in files:
        return None
    try:
        return usable_jwks(files[source.name].decode(), issuer.algorithms)
    except (UnusableKeys, UnicodeDecodeError):  # it was fetched for other algorithms
        return None


def api_keys(source: config.Config) -> ir.ApiKeys | None:
    """Where keys are looked for; None where none would open anything."""
    if not accepts_api_keys(source):
        return None
    keys = source.identity.api_keys
    pepper = None if keys.pepper is None else ir.Secret(keys.pepper.get_secret_value().encode())
    return ir.ApiKeys(
        headers=keys.headers,
        query=keys.query,
        cookie=keys.cookie,
        pepper=pepper,
        forward=keys.forward,
        report_addresses=keys.allow_ips_mode == "report",
    )


def tokens(source: config.Config) -> ir.Tokens | None:
    """The tokens that the gateway issues."""
    written = source.identity.tokens
    if written is None:
        return None
    serving = (name for name, listener in source.listeners.items() if listener.https_redirect is None)
    return ir.Tokens(
        issuer=written.issuer,
        audiences=tuple(sorted(written.audiences)),
        lifetime=written.lifetime,
        listeners=tuple(sorted(written.listeners or serving)),
        native=written.enforce == "envoy",
    )


def mtls(written: config.Mtls | None) -> ir.Mtls | None:
    """Whom client certificates stand for, by name."""
    if written is None:
        return None
    found = (
        ir.MtlsClient(
            name=client.name,
            tenant=client.tenant,
            consumer=client.consumer,
            plan=client.plan,
            scopes=tuple(sorted(client.scopes)),
            roles=tuple(sorted(client.roles)),
        )
        for client in written.clients
    )
    return ir.Mtls(written.subject, tuple(sorted(found, key=lambda client: client.name)))


def declared_api_keys(source: config.Config) -> tuple[ir.ApiKey, ...]:
    """The declared keys by id."""
    found = (_declared_key(key, consumer) for _, consumer, key in declared_keys(source))
    return tuple(sorted(found, key=lambda key: key.id))


def _declared_key(key: config.DeclaredKey, consumer: config.Consumer) -> ir.ApiKey:
    return ir.ApiKey(
        id=key.id,
        hash=read_hash(key.hash) or b"",
        consumer=consumer.name,
        scopes=tuple(sorted(key.scopes)),
        roles=tuple(sorted(key.roles)),
        plan=key.plan,
        allow_ips=tuple(sorted(key.allow_ips)),
        expires=key.expires,
        models=None if key.models is None else tuple(sorted(key.models)),
    )


def bearer_token(token: config.BearerToken) -> ir.BearerToken:
    """The token by its hash, and whom it stands for."""
    return ir.BearerToken(
        name=token.name,
        sha256=hashlib.sha256(token.token.get_secret_value().encode()).digest(),
        subject=token.subject or token.name,
        tenant=token.tenant,
        consumer=token.consumer,
        plan=token.plan,
        scopes=tuple(sorted(token.scopes)),
        roles=tuple(sorted(token.roles)),
        forward=token.forward,
    )
