"""Whether the authorizer would accept a token that Envoy has verified, whatever the route: its verdict is metadata.

Here stands what Envoy's verification leaves open: how the credential is spelt, the algorithm and the key that the token
names, extensions of its header, dates to the second, and claims that must be what they seem.
"""

import re
from collections.abc import Iterable, Iterator

from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from envoy.type.matcher.v3.value_pb2 import ValueMatcher
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any
from google.api.expr.v1alpha1 import syntax_pb2 as syntax_pb

from control_plane.ir.model import ApiKeys, Gateway, JwtIssuer, Route
from control_plane.ir.native import judges_others, native_keys, native_marks
from control_plane.xds import cel, names
from control_plane.xds.filters.native.matching import (
    FILLED_LIST,
    PRESENT,
    every,
    exactly,
    like,
    listing,
    no,
    of_token,
    some,
)
from control_plane.xds.filters.native.verified import PREFIX, header_of
from control_plane.xds.filters.per_route import ON, PerRoute
from control_plane.xds.packing import packed
from service_kit.contract import LATEST_DATE, LONGEST_CREDENTIAL
from service_kit.identity_part import LONGEST_PART

STAT_PREFIX = "token_"
AUTHORIZATION = "authorization"
# RFC 7515, 4.1.9: what a type may do without.
MEDIA_TYPE = "application/"
# Expressions are blind to what is no UTF-8.
VISIBLE = "[!-~]+"
SEGMENT = "[A-Za-z0-9_-]+"
# Base64 in its one spelling: whoever has a token could else write its signature in others.
SIGNATURE = "(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
CREDENTIAL = rf"Bearer +{SEGMENT}\.{SEGMENT}\.{SIGNATURE}"
# Texts that stand for themselves in a header: visible, without the sign that begins an encoded one, not "-" alone.
PLAIN = f"[!-$&-,.-~][!-$&-~]{{0,{LONGEST_PART - 1}}}|-[!-$&-~]{{1,{LONGEST_PART - 1}}}"


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off; on where a route lets Envoy judge. It refuses nothing."""
    marked = native_marks(gateway)
    if not marked:
        return ()
    policies = {mark: _policy(mark, issuer, gateway) for mark, issuer in marked.items()}
    rules = rbac_pb.RBAC(action=rbac_pb.RBAC.ALLOW, policies=policies)
    config = packed(rbac_filter_pb.RBAC(shadow_rules=rules, shadow_rules_stat_prefix=STAT_PREFIX))
    typed = Any(type_url=config.type_url, value=config.value)
    return (HttpFilter(name=names.NATIVE_TOKEN, typed_config=typed, disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """On where Envoy judges tokens."""
    return {names.NATIVE_TOKEN: ON} if route is not None and judges_others(route.native) else {}


def _policy(mark: str, issuer: JwtIssuer, gateway: Gateway) -> rbac_pb.Policy:
    conditions = (spelling(), *alone(gateway.api_keys), *header(mark, issuer), *_claims(mark, issuer, gateway))
    return rbac_pb.Policy(
        permissions=[rbac_pb.Permission(any=True)],
        principals=[every(conditions)],
        condition=cel.every(length(), *dates(mark, issuer, issuer.leeway)),
    )


def spelling() -> rbac_pb.Principal:
    """The credential is spelt as one, in one way."""
    return _request_header(AUTHORIZATION, CREDENTIAL)


def alone(keys: ApiKeys | None) -> Iterator[rbac_pb.Principal]:
    """No other place of credentials is taken; what may be one, spelt in whichever way, counts as one."""
    if keys is None:
        return
    yield from (no(_present(name)) for name in keys.headers if name != AUTHORIZATION)
    if keys.query is not None:
        yield _request_header(":path", VISIBLE)
        yield no(_request_header(":path", rf"[^?]*\?(.*[&;])?({re.escape(keys.query)}|[^&;=]*[%+][^&;=]*)([&;=].*)?"))
    if keys.cookie is not None:
        cookie = route_pb.HeaderMatcher(name="cookie")
        cookie.string_match.contains = keys.cookie
        yield no(rbac_pb.Principal(header=cookie))


def _present(name: str) -> rbac_pb.Principal:
    return rbac_pb.Principal(header=route_pb.HeaderMatcher(name=name, present_match=True))


def _request_header(name: str, regex: str) -> rbac_pb.Principal:
    header = route_pb.HeaderMatcher(name=name)
    header.string_match.safe_regex.regex = regex
    return rbac_pb.Principal(header=header)


def header(kept: str, issuer: JwtIssuer) -> Iterator[rbac_pb.Principal]:
    """What a token says of itself: algorithm, key and type; no extensions."""
    said = header_of(kept)
    yield some(of_token(exactly(name), said, "alg") for name in issuer.algorithms)
    kids = {key.get("kid") for key in native_keys(issuer)}
    yield some(
        no(of_token(PRESENT, said, "kid")) if kid is None else of_token(exactly(str(kid)), said, "kid")
        for kid in sorted(kids, key=str)
    )
    # Extensions that nobody here understands (RFC 7515, 4.1.11; RFC 7797).
    yield from (no(of_token(PRESENT, said, name)) for name in ("crit", "b64"))
    if issuer.type is not None:
        name = re.escape(issuer.type.removeprefix(MEDIA_TYPE))
        yield of_token(like(f"(?i)({MEDIA_TYPE})?{name}"), said, "typ")


def _claims(mark: str, issuer: JwtIssuer, gateway: Gateway) -> Iterator[rbac_pb.Principal]:
    claims = issuer.claims
    yield audience(mark, issuer)
    yield of_token(like(PLAIN), mark, claims.subject)
    # Who is called like a consumer is none.
    yield from (no(of_token(exactly(consumer.name), mark, claims.subject)) for consumer in gateway.consumers)
    if claims.tenant is not None:
        yield absent_or((like(PLAIN),), mark, claims.tenant)
    if claims.plan is not None:
        yield absent_or((exactly(plan.name) for plan in gateway.plans), mark, claims.plan)
    yield from (absent_or((FILLED_LIST,), mark, claim) for claim in sorted({claims.scopes, claims.roles}))


def audience(kept: str, issuer: JwtIssuer) -> rbac_pb.Principal:
    """It is meant for one of these, as it is written: Envoy takes "https://gateway/" for "gateway"."""
    return some(of_token(matcher(name), kept, "aud") for name in issuer.audiences for matcher in (exactly, listing))


def absent_or(values: Iterable[ValueMatcher], kept: str, claim: str) -> rbac_pb.Principal:
    """The claim is not there, or like one of these."""
    return some((no(of_token(PRESENT, kept, claim)), *(of_token(value, kept, claim) for value in values)))


def length() -> syntax_pb.Expr:
    """It is no longer than the authorizer reads."""
    credential = cel.item(cel.attribute("request", "headers"), AUTHORIZATION)
    return cel.at_most(cel.call("size", credential), cel.whole(len(PREFIX) + LONGEST_CREDENTIAL))


def dates(kept: str, issuer: JwtIssuer, grace: int) -> Iterator[syntax_pb.Expr]:
    """It is valid now; `grace`: for so many seconds after its end, too."""
    held, leeway = claims_of(kept), cel.number(issuer.leeway)
    expires = cel.item(held, "exp")
    yield cel.at_most(cel.plus(cel.now(), cel.number(1)), cel.plus(expires, cel.number(grace)))
    yield cel.at_most(expires, cel.number(LATEST_DATE))
    for name in ("iat", "nbf"):
        begun = cel.at_most(cel.item(held, name), cel.plus(cel.now(), leeway))
        yield cel.either(cel.lacks(held, name), begun)
    if issuer.max_lifetime is not None:
        yield cel.at_most(cel.minus(expires, cel.item(held, "iat")), cel.number(issuer.max_lifetime))


def claims_of(kept: str) -> syntax_pb.Expr:
    """What a verified token says."""
    namespaces = cel.attribute("metadata", "filter_metadata")
    return cel.item(cel.item(namespaces, names.JWT_AUTHN), kept)
