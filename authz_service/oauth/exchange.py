"""Decides whether a client gets a token for its API key, and for what."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from authz_service.keys import ApiKey, Consumer, KeySettings
from authz_service.live_keys import Dead, Known
from authz_service.networks import client_address
from authz_service.oauth.asked import TokenRequest
from authz_service.oauth.refusal import INVALID_SCOPE, UNAUTHORIZED_CLIENT, UNAVAILABLE, Refused, unknown_client
from authz_service.policy import GatewayTokens
from authz_service.signing import SigningKeys
from service_kit.api_keys import RandomBytes
from service_kit.gateway_tokens import Holder, Minted, minted, signing

_UNAVAILABLE_STATUS: Final = 503
_NOBODY: Final = Consumer(tenant=None, plan=None)


@dataclass(frozen=True, slots=True)
class Issuing:
    """What tokens are issued by: the terms, where keys are, which are known, and what is signed with."""

    tokens: GatewayTokens
    settings: KeySettings
    known: Known
    signing: SigningKeys


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, for which key, and what it may."""

    minted: Minted
    key: ApiKey
    scopes: tuple[str, ...]
    # The key is used from elsewhere than it may be, and that is only reported.
    elsewhere: bool


def exchange(asked: TokenRequest, issuing: Issuing, *, address: str, now: float, random_bytes: RandomBytes) -> Issued:
    """The token; Refused where there is none. `address` is the client's, as Envoy found it."""
    key = _key(asked, issuing, now)
    elsewhere = key.networks is not None and client_address(address) not in key.networks
    if elsewhere and not issuing.settings.report_addresses:
        raise Refused(UNAUTHORIZED_CLIENT, "The API key may not be used from your address.", reason="address")
    scopes = _scopes(asked, key)
    signing_key = signing(issuing.signing.keys, now)
    if signing_key is None:
        raise Refused(
            UNAVAILABLE, "There is nothing to sign with yet: try again in a moment.", status=_UNAVAILABLE_STATUS
        )
    token = minted(
        signing_key, issuing.tokens.terms, _holder(key, scopes, issuing.known), now=now, random_bytes=random_bytes
    )
    return Issued(token, key, scopes, elsewhere)


def _key(asked: TokenRequest, issuing: Issuing, now: float) -> ApiKey:
    client = asked.client
    key = issuing.known.presented(client.secret, issuing.settings, now)
    if isinstance(key, Dead):
        raise unknown_client(key.reason, client.scheme)
    if client.id is not None and client.id not in {key.id, key.consumer}:
        raise unknown_client("other_client_id", client.scheme)
    return key


def _scopes(asked: TokenRequest, key: ApiKey) -> tuple[str, ...]:
    if asked.scope is None:
        return tuple(sorted(key.scopes))
    if not asked.scope <= key.scopes:
        raise Refused(INVALID_SCOPE, "The API key does not hold every scope that is asked for.")
    return tuple(sorted(asked.scope))


def _holder(key: ApiKey, scopes: tuple[str, ...], known: Known) -> Holder:
    owner = known.consumer(key.consumer) or _NOBODY
    return Holder(
        key_id=key.id,
        consumer=key.consumer,
        tenant=None if owner.tenant is None else unquote(owner.tenant),  # a claim holds what is meant
        plan=key.plan or owner.plan or known.policy.default_plan,
        scopes=scopes,
        roles=tuple(sorted(key.roles)),
        expires=key.expires,
        anywhere=key.networks is None,
        models=key.models,
    )
