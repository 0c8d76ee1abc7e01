"""Which tokens Envoy may judge itself, and on which routes: where it can say yes to the same ones as the authorizer.

A mark names an issuer together with all that decides which of its tokens are accepted: keys, names, dates, plans,
consumers. Routes ask for the mark; a connection that still has the filters of yesterday writes yesterday's mark, so its
requests are asked about, and a key that is gone opens nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from control_plane.ir.model import ApiKeys, Consumer, Demand, Gateway, JwtIssuer, Native, NativeIssuer, Plan
from service_kit.identity_part import UnusablePart, identity_part
from service_kit.verification_keys import stamped_jwks

# What Envoy can verify of what the authorizer can.
CURVES = frozenset({None, "P-256", "P-384", "P-521", "Ed25519"})
# Credentials beside which a token is not alone: Envoy cannot tell whether a connection has brought another one.
WITH_THE_CONNECTION = frozenset({"mtls"})

Key = Mapping[str, str]


def native_marks(gateway: Gateway) -> dict[str, JwtIssuer]:
    """The issuers whose tokens Envoy judges, by their marks."""
    shared = (_names(gateway.plans), gateway.default_plan, _names(gateway.consumers), _places(gateway.api_keys))
    return {_mark(issuer, shared): issuer for issuer in gateway.jwt if issuer.native and native_keys(issuer)}


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
    issuers = tuple(
        NativeIssuer(mark, issuer.claims.scopes, issuer.claims.roles, issuer.claims.plan)
        for mark, issuer in native_marks(gateway).items()
    )
    forward = any(issuer.native and issuer.forward for issuer in gateway.jwt)
    return Native(issuers, gateway.default_plan, forward) if issuers else None


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
