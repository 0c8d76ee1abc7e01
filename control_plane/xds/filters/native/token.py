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
from control_plane.ir.native import native_keys, native_marks
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
    return {} if route is None or route.native is None else {names.NATIVE_TOKEN: ON}


def _policy(mark: str, issuer: JwtIssuer, gateway: Gateway) -> rbac_pb.Policy:
    conditions = (_spelling(), *_alone(gateway.api_keys), *_header(mark, issuer), *_claims(mark, issuer, gateway))
    return rbac_pb.Policy(
        permissions=[rbac_pb.Permission(any=True)],
        principals=[every(conditions)],
        condition=cel.every(_length(), *_dates(mark, issuer)),
    )


def _spelling() -> rbac_pb.Principal:
    return _request_header(AUTHORIZATION, CREDENTIAL)


def _alone(keys: ApiKeys | None) -> Iterator[rbac_pb.Principal]:
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


def _header(mark: str, issuer: JwtIssuer) -> Iterator[rbac_pb.Principal]:
    header = header_of(mark)
    yield some(of_token(exactly(name), header, "alg") for name in issuer.algorithms)
    kids = {key.get("kid") for key in native_keys(issuer)}
    yield some(
        no(of_token(PRESENT, header, "kid")) if kid is None else of_token(exactly(str(kid)), header, "kid")
        for kid in sorted(kids, key=str)
    )
    # Extensions that nobody here understands (RFC 7515, 4.1.11; RFC 7797).
    yield from (no(of_token(PRESENT, header, name)) for name in ("crit", "b64"))
    if issuer.type is not None:
        name = re.escape(issuer.type.removeprefix(MEDIA_TYPE))
        yield of_token(like(f"(?i)({MEDIA_TYPE})?{name}"), header, "typ")


def _claims(mark: str, issuer: JwtIssuer, gateway: Gateway) -> Iterator[rbac_pb.Principal]:
    claims = issuer.claims
    # Envoy takes "https://gateway/" for "gateway".
    yield some(of_token(matcher(name), mark, "aud") for name in issuer.audiences for matcher in (exactly, listing))
    yield of_token(like(PLAIN), mark, claims.subject)
    # Who is called like a consumer is none.
    yield from (no(of_token(exactly(consumer.name), mark, claims.subject)) for consumer in gateway.consumers)
    if claims.tenant is not None:
        yield _absent_or((like(PLAIN),), mark, claims.tenant)
    if claims.plan is not None:
        yield _absent_or((exactly(plan.name) for plan in gateway.plans), mark, claims.plan)
    yield from (_absent_or((FILLED_LIST,), mark, claim) for claim in sorted({claims.scopes, claims.roles}))


def _absent_or(values: Iterable[ValueMatcher], mark: str, claim: str) -> rbac_pb.Principal:
    return some((no(of_token(PRESENT, mark, claim)), *(of_token(value, mark, claim) for value in values)))


def _length() -> syntax_pb.Expr:
    header = cel.item(cel.attribute("request", "headers"), AUTHORIZATION)
    return cel.at_most(cel.call("size", header), cel.whole(len(PREFIX) + LONGEST_CREDENTIAL))


def _dates(mark: str, issuer: JwtIssuer) -> Iterator[syntax_pb.Expr]:
    held, leeway = _held(mark), cel.number(issuer.leeway)
    expires = cel.item(held, "exp")
    yield cel.at_most(cel.plus(cel.now(), cel.number(1)), cel.plus(expires, leeway))
    yield cel.at_most(expires, cel.number(LATEST_DATE))
    for name in ("iat", "nbf"):
        begun = cel.at_most(cel.item(held, name), cel.plus(cel.now(), leeway))
        yield cel.either(cel.lacks(held, name), begun)
    if issuer.max_lifetime is not None:
        yield cel.at_most(cel.minus(expires, cel.item(held, "iat")), cel.number(issuer.max_lifetime))


def _held(mark: str) -> syntax_pb.Expr:
    namespaces = cel.attribute("metadata", "filter_metadata")
    return cel.item(cel.item(namespaces, names.JWT_AUTHN), mark)
