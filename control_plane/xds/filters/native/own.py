"""The gateway's own tokens, as Envoy judges them: two filters whose content comes beside the configuration.

The keys that verify them turn by themselves, and API keys die with all that was given for them, at any time. So the
listener has the filters by name alone, empty until Envoy is told what is in them: a change is in force on every
connection at once, and moves no listener. Envoy never refuses a token that is in doubt, it only does not vouch for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from envoy.config.core.v3 import extension_pb2 as extension_pb
from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from envoy.type.matcher.v3 import value_pb2 as value_pb
from envoy_data_plane.envoy.config.core.v3 import ExtensionConfigSource
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any
from google.protobuf.any_pb2 import Any as ProtoAny
from google.protobuf.message import Message

from control_plane.ir.model import Gateway, JwtIssuer, Route
from control_plane.ir.native import OWN, judges_own, own_issuer, own_mark, own_tokens
from control_plane.xds import cel, names
from control_plane.xds.filters.native import token, verified
from control_plane.xds.filters.native.matching import every, exactly, like, no, of_token, some
from control_plane.xds.filters.per_route import ON, PerRoute
from control_plane.xds.listener.source import over_ads
from control_plane.xds.packing import TYPE_PREFIX, packed
from service_kit.gateway_tokens import (
    ANYWHERE_CLAIM,
    CONSUMER_CLAIM,
    KEY_ID_CLAIM,
    MODELS_CLAIM,
    PLAN_CLAIM,
    TENANT_CLAIM,
)

SIGNATURE_TYPE = TYPE_PREFIX + verified.AUTHENTICATION
TOKEN_TYPE = TYPE_PREFIX + rbac_filter_pb.RBAC.DESCRIPTOR.full_name
# The filters by name, and what they are.
FILTERS = {names.OWN_SIGNATURE: SIGNATURE_TYPE, names.OWN_TOKEN: TOKEN_TYPE}
# A restriction to some models, as the authorizer writes it into the header.
MODELS = ",([A-Za-z0-9._:/@+*-]+,)*"
YES = value_pb.ValueMatcher(bool_match=True)


@dataclass(frozen=True)
class Doubts:
    """Living tokens that the authorizer may see otherwise by now: of these keys and consumers, or issued before this.

    The last is in seconds since the epoch, 0: none for that.
    """

    keys: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()
    issued_before: int = 0


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off, and empty: what they let pass they are told of later. They refuse nothing."""
    if own_tokens(gateway) is None:
        return ()
    return tuple(_told_later(name, type_url) for name, type_url in FILTERS.items())


def per_route(route: Route | None) -> PerRoute:
    """On where a route lets Envoy judge these tokens."""
    return dict.fromkeys(FILTERS, ON) if route is not None and judges_own(route.native) else {}


def content(gateway: Gateway, jwks: str | None, doubts: Doubts) -> tuple[extension_pb.TypedExtensionConfig, ...]:
    """What is in the filters now, given the keys that verify tokens; nothing where there are none."""
    tokens, mark = own_tokens(gateway), own_mark(gateway)
    if tokens is None or mark is None or jwks is None:
        return (_named(names.OWN_SIGNATURE, _proto(_empty(SIGNATURE_TYPE))), _named(names.OWN_TOKEN, _empty_rules()))
    issuer = own_issuer(tokens, jwks)
    # Without headers: they are made of what is kept.
    signature = verified.authentication({OWN: verified.provider(OWN, issuer, {})})
    rules = rbac_pb.RBAC(action=rbac_pb.RBAC.ALLOW, policies={mark: _policy(issuer, gateway, doubts)})
    rbac = rbac_filter_pb.RBAC(shadow_rules=rules, shadow_rules_stat_prefix=token.STAT_PREFIX)
    return (_named(names.OWN_SIGNATURE, _proto(signature)), _named(names.OWN_TOKEN, packed(rbac)))


def _policy(issuer: JwtIssuer, gateway: Gateway, doubts: Doubts) -> rbac_pb.Policy:
    conditions = (
        token.spelling(),
        *token.alone(gateway.api_keys),
        *token.header(OWN, issuer),
        *_claims(issuer, gateway),
        *_undoubted(doubts),
    )
    issued = cel.at_most(cel.number(doubts.issued_before), cel.item(token.claims_of(OWN), "iat"))
    return rbac_pb.Policy(
        permissions=[rbac_pb.Permission(any=True)],
        principals=[every(conditions)],
        # The authorizer counts on: its key may have ended with the token.
        condition=cel.every(token.length(), issued, *token.dates(OWN, issuer, grace=0)),
    )


def _claims(issuer: JwtIssuer, gateway: Gateway) -> Iterator[rbac_pb.Principal]:
    yield token.audience(OWN, issuer)
    yield from (of_token(like(token.PLAIN), OWN, claim) for claim in ("sub", CONSUMER_CLAIM, KEY_ID_CLAIM))
    yield token.absent_or((like(token.PLAIN),), OWN, TENANT_CLAIM)
    yield token.absent_or((exactly(plan.name) for plan in gateway.plans), OWN, PLAN_CLAIM)
    yield token.absent_or((like(MODELS),), OWN, MODELS_CLAIM)
    yield of_token(YES, OWN, ANYWHERE_CLAIM)


def _undoubted(doubts: Doubts) -> Iterator[rbac_pb.Principal]:
    for claim, doubted in ((KEY_ID_CLAIM, doubts.keys), (CONSUMER_CLAIM, doubts.consumers)):
        if doubted:
            yield no(some(of_token(exactly(name), OWN, claim) for name in doubted))


def _told_later(name: str, type_url: str) -> HttpFilter:
    """Nobody waits for it: until it is there, all is asked about."""
    source = ExtensionConfigSource(
        config_source=over_ads(),
        default_config=_empty(type_url),
        apply_default_config_without_warming=True,
        type_urls=[type_url],
    )
    return HttpFilter(name=name, config_discovery=source, disabled=True)


def _empty(type_url: str) -> Any:
    return Any(type_url=type_url)


def _empty_rules() -> ProtoAny:
    return packed(rbac_filter_pb.RBAC())


def _proto(config: Any) -> ProtoAny:
    return ProtoAny(type_url=config.type_url, value=config.value)


def _named(name: str, config: Message) -> extension_pb.TypedExtensionConfig:
    return extension_pb.TypedExtensionConfig(name=name, typed_config=config)
