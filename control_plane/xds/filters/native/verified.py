"""Envoy's own verification of tokens: the signature, by the keys and algorithms of the issuer, and who it is for.

A token that does not pass is no refusal: the request goes on without claims. Envoy reads the dates of tokens that it
has seen before with a tolerance of its own: `token` looks at them again.
"""

import json
from collections.abc import Mapping

from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway, JwtIssuer, Route
from control_plane.ir.native import judges_others, knows_consumers, native_keys, native_marks
from control_plane.xds import names
from control_plane.xds.filters.per_route import ON, PerRoute
from control_plane.xds.packing import JsonValue, typed_struct
from service_kit.contract import identity_header

AUTHENTICATION = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
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
    providers = {mark: provider(mark, issuer, _claims(issuer, gateway)) for mark, issuer in marked.items()}
    return (HttpFilter(name=names.JWT_AUTHN, typed_config=authentication(providers), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """On where Envoy judges tokens."""
    return {names.JWT_AUTHN: ON} if route is not None and judges_others(route.native) else {}


def header_of(kept: str) -> str:
    """Where a token's header is kept beside its claims."""
    return f"{kept}.header"


def authentication(providers: Mapping[str, JsonValue]) -> Any:
    """The filter with these issuers, by the names under which it keeps what their tokens say."""
    accepted: list[JsonValue] = [{"provider_name": name} for name in providers]
    # Whatever is not verified goes on, for the authorizer to judge.
    accepted.append({"allow_missing_or_failed": {}})
    return typed_struct(
        AUTHENTICATION,
        {
            "providers": providers,
            "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": accepted}}}],
        },
    )


def provider(kept: str, issuer: JwtIssuer, headers: Mapping[str, str]) -> JsonValue:
    """How tokens of an issuer are verified; `headers`: parts of the identity, and the claims they are made of."""
    verification: dict[str, JsonValue] = {
        "issuer": issuer.issuer,
        "audiences": issuer.audiences,
        "local_jwks": {"inline_string": json.dumps({"keys": native_keys(issuer)}, sort_keys=True)},
        "from_headers": [{"name": "authorization", "value_prefix": PREFIX}],
        # The authorizer must still see it where it is asked all the same.
        "forward": True,
        "require_expiration": True,
        "clock_skew_seconds": max(issuer.leeway, SHORTEST_SKEW),
        "jwt_cache_config": {"jwt_cache_size": CACHED_TOKENS},
        "payload_in_metadata": kept,
        "header_in_metadata": header_of(kept),
        "normalize_payload_in_metadata": {
            "space_delimited_claims": sorted({issuer.claims.scopes, issuer.claims.roles})
        },
        "claim_to_headers": [
            {"header_name": identity_header(part), "claim_path": [{"key": claim}]} for part, claim in headers.items()
        ],
    }
    if issuer.max_lifetime is not None:
        verification["max_lifetime"] = f"{issuer.max_lifetime}s"
    return verification


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
