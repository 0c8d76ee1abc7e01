"""Envoy's own verification of tokens: the signature, by the keys and algorithms of the issuer, and who it is for.

A token that does not pass is no refusal: the request goes on without claims. Envoy reads the dates of tokens that it
has seen before with a tolerance of its own: `token` looks at them again.
"""

import json

from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from control_plane.ir.model import Gateway, JwtIssuer, Route
from control_plane.ir.native import knows_consumers, native_keys, native_marks
from control_plane.xds import names
from control_plane.xds.filters.per_route import ON, PerRoute
from control_plane.xds.packing import JsonValue, typed_struct
from service_kit.contract import identity_header

# The fields that tell them apart, and no other credential, are checked in `token`.
PREFIX = "Bearer "
# Envoy takes 0 for its own minute; what is accepted in this second is looked at again in `token`.
SHORTEST_SKEW = 1
# Of each worker and issuer.
CACHED_TOKENS = 1000


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off; on where a route lets Envoy judge."""
    marked = native_marks(gateway)
    if not marked:
        return ()
    accepted: list[JsonValue] = [{"provider_name": mark} for mark in marked]
    # Whatever is not verified goes on, for the authorizer to judge.
    accepted.append({"allow_missing_or_failed": {}})
    config = typed_struct(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        {
            "providers": {mark: _provider(mark, issuer, gateway) for mark, issuer in marked.items()},
            "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": accepted}}}],
        },
    )
    return (HttpFilter(name=names.JWT_AUTHN, typed_config=config, disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """On where Envoy judges tokens."""
    return {} if route is None or route.native is None else {names.JWT_AUTHN: ON}


def header_of(mark: str) -> str:
    """Where a token's header is kept beside its claims."""
    return f"{mark}.header"


def _provider(mark: str, issuer: JwtIssuer, gateway: Gateway) -> JsonValue:
    provider: dict[str, JsonValue] = {
        "issuer": issuer.issuer,
        "audiences": issuer.audiences,
        "local_jwks": {"inline_string": json.dumps({"keys": native_keys(issuer)}, sort_keys=True)},
        "from_headers": [{"name": "authorization", "value_prefix": PREFIX}],
        # The authorizer must still see it where it is asked all the same.
        "forward": True,
        "require_expiration": True,
        "clock_skew_seconds": max(issuer.leeway, SHORTEST_SKEW),
        "jwt_cache_config": {"jwt_cache_size": CACHED_TOKENS},
        "payload_in_metadata": mark,
        "header_in_metadata": header_of(mark),
        "normalize_payload_in_metadata": {
            "space_delimited_claims": sorted({issuer.claims.scopes, issuer.claims.roles})
        },
        "claim_to_headers": [
            {"header_name": identity_header(part), "claim_path": [{"key": claim}]}
            for part, claim in _claims(issuer, gateway).items()
        ],
    }
    if issuer.max_lifetime is not None:
        provider["max_lifetime"] = f"{issuer.max_lifetime}s"
    return provider


def _claims(issuer: JwtIssuer, gateway: Gateway) -> dict[str, str]:
    """The claim that each part of the identity is read from."""
    claims = issuer.claims
    parts = {
        "subject": claims.subject,
        "tenant": claims.tenant,
        "consumer": claims.subject if knows_consumers(gateway) else None,
        "plan": claims.plan,
    }
    return {part: claim for part, claim in parts.items() if claim is not None}
