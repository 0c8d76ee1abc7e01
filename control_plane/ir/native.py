"""Which tokens Envoy may judge itself, and on which routes: where it can say yes to the same ones as the authorizer.

A mark names an issuer together with all that decides which of its tokens are accepted: keys, names, dates, plans,
consumers. Routes ask for the mark; a connection that still has the filters of yesterday writes yesterday's mark, so its
requests are asked about, and a key that is gone opens nothing. That of the gateway's own tokens names no keys: those
reach Envoy beside the configuration, on every connection at once.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from control_plane.ir.model import (
    ApiKeys,
    Claims,
    Consumer,
    Demand,
    Gateway,
    JwtIssuer,
    Native,
    NativeIssuer,
    Plan,
    Tokens,
)
from service_kit.gateway_tokens import (
    ALGORITHM,
    CONSUMER_CLAIM,
    LEEWAY,
    LONGEST_LIFETIME,
    PLAN_CLAIM,
    TENANT_CLAIM,
    TOKEN_TYPE,
)
from service_kit.identity_part import UnusablePart, identity_part
from service_kit.verification_keys import stamped_jwks

# What Envoy can verify of what the authorizer can.
CURVES = frozenset({None, "P-256", "P-384", "P-521", "Ed25519"})
# Credentials beside which a token is not alone: Envoy cannot tell whether a connection has brought another one.
WITH_THE_CONNECTION = frozenset({"mtls"})
# Where Envoy keeps what the gateway's own tokens say; all marks are longer.
OWN = "gateway"
OWN_NAME = "the gateway"

Key = Mapping[str, str]


def native_marks(gateway: Gateway) -> dict[str, JwtIssuer]:
    """The other issuers whose tokens Envoy judges, by their marks."""
    shared = _shared(gateway)
    return {_mark(issuer, shared): issuer for issuer in gateway.jwt if issuer.native and native_keys(issuer)}


def own_mark(gateway: Gateway) -> str | None:
    """The mark of the gateway's own tokens; None where Envoy does not judge them."""
    tokens = own_tokens(gateway)
    return None if tokens is None else _mark(own_issuer(tokens), _shared(gateway))


def own_tokens(gateway: Gateway) -> Tokens | None:
    """The gateway's own tokens, where Envoy judges them."""
    return gateway.tokens if gateway.tokens is not None and gateway.tokens.native else None


def own_issuer(tokens: Tokens, jwks: str | None = None) -> JwtIssuer:
    """The gateway as one more issuer, with the keys that its tokens are verified by now."""
    return JwtIssuer(
        name=OWN_NAME,
        issuer=tokens.issuer,
        audiences=tokens.audiences,
        algorithms=(ALGORITHM,),
        secret=None,
        jwks=jwks,
        claims=Claims("sub", TENANT_CLAIM, CONSUMER_CLAIM, PLAN_CLAIM, scopes="scope", roles="roles"),
        leeway=LEEWAY,
        max_lifetime=LONGEST_LIFETIME,
        forward=False,
        type=TOKEN_TYPE,
        native=True,
    )


def envoy_judges(gateway: Gateway) -> bool:
    """Whether Envoy judges any tokens."""
    return own_tokens(gateway) is not None or bool(native_marks(gateway))


def _shared(gateway: Gateway) -> object:
    """What all marks depend on."""
    return _names(gateway.plans), gateway.default_plan, _names(gateway.consumers), _places(gateway.api_keys)


def _names(items: Iterable[Plan | Consumer]) -> tuple[str, ...]:
    return tuple(item.name for item in items)


def _places(keys: ApiKeys | None) -> tuple[object, ...]:
    """Where else a request may carry a credential."""
    return () if keys is None else (keys.headers, keys.query, keys.cookie)


def native_keys(issuer: JwtIssuer) -> Sequence[Key]:
    """The keys that a token may name, one entry for each algorithm, but for those that Envoy cannot use."""
    return () if issuer.jwks is None else _keys(issuer.jwks, issuer.algorithms)


@lru_cache(maxsize=64)  # read for each filter, and again with each edit
def _keys(jwks: str, algorithms: tuple[str, ...]) -> tuple[Key, ...]:
    """Among several, a token must name one; a key without a name, or with one that no header holds, is never meant."""
    keys: list[Key] = json.loads(stamped_jwks(jwks, algorithms))["keys"]
    several = len({json.dumps({**key, "alg": ""}, sort_keys=True) for key in keys}) > 1
    return tuple(key for key in keys if key.get("crv") in CURVES and _is_meant(key, several=several))


def knows_consumers(gateway: Gateway) -> bool:
    """Whether a subject can be told from a consumer: stored ones, whom Envoy does not know, are nobody's identity."""
    return gateway.api_keys is None and all(issuer.claims.consumer is None for issuer in gateway.jwt)


def native(gateway: Gateway) -> Native | None:
    """What routes must know of it; None where Envoy judges nothing."""
    issuers = [_native_issuer(mark, mark, issuer) for mark, issuer in native_marks(gateway).items()]
    tokens, mark = own_tokens(gateway), own_mark(gateway)
    if tokens is not None and mark is not None:
        issuers.append(_native_issuer(mark, OWN, own_issuer(tokens)))
    forward = any(issuer.native and issuer.forward for issuer in gateway.jwt)
    return Native(tuple(issuers), gateway.default_plan, forward) if issuers else None


def _native_issuer(mark: str, kept: str, issuer: JwtIssuer) -> NativeIssuer:
    return NativeIssuer(mark, kept, issuer.claims.scopes, issuer.claims.roles, issuer.claims.plan)


def judges_own(native: Native | None) -> bool:
    """Whether the gateway's own tokens are among these."""
    return native is not None and any(issuer.kept == OWN for issuer in native.issuers)


def judges_others(native: Native | None) -> bool:
    """Whether tokens of other issuers are among these."""
    return native is not None and any(issuer.kept != OWN for issuer in native.issuers)


def judged_by_envoy(demand: Demand | None, native: Native | None) -> Native | None:
    """The same, where it is to act on a route with this demand; else None."""
    if native is None or demand is None or "jwt" not in demand.accept:
        return None
    return None if WITH_THE_CONNECTION.intersection(demand.accept) else native


def _mark(issuer: JwtIssuer, shared: object) -> str:
    digest = hashlib.blake2b(repr((issuer, shared)).encode(), digest_size=6).hexdigest()
    return f"{issuer.name}@{digest}"


def _is_meant(key: Key, *, several: bool) -> bool:
    kid = key.get("kid")
    if kid is None:
        return not several
    try:
        return identity_part(kid) == kid
    except UnusablePart:
        return False
