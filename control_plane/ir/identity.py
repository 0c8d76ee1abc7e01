"""Credentials and consumers as they are meant."""

import hashlib
from collections.abc import Mapping

from control_plane.config import model as config
from control_plane.ir import model as ir


def jwt_issuer(issuer: config.JwtIssuer, files: Mapping[str, bytes]) -> ir.JwtIssuer:
    """The issuer, with its keys; `files` holds the content of each file by its name."""
    keys = issuer.keys
    return ir.JwtIssuer(
        name=issuer.name,
        issuer=issuer.issuer,
        audiences=tuple(sorted(issuer.audiences)),
        algorithms=tuple(sorted(issuer.algorithms)),
        secret=ir.Secret(keys.secret.get_secret_value().encode()) if isinstance(keys, config.SecretKeys) else None,
        jwks=files[keys.file].decode() if isinstance(keys, config.FileKeys) else None,
        claims=ir.Claims(**issuer.claims.model_dump()),
        leeway=issuer.leeway,
        max_lifetime=issuer.max_lifetime,
        forward=issuer.forward,
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
