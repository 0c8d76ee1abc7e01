"""An authorizer that issues tokens, asked as Envoy asks it, without a socket between."""

import os
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

from authz_service.oauth.app import Desk, oauth_app
from service_kit.contract import SIGNING_KEYS_NAME, SIGNING_KEYS_TYPE
from service_kit.gateway_tokens import SigningKey, signing_key
from tests.support.authz import NOW, Gate, api_key, key_of, key_policy
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

GATEWAY = "https://gateway.example.com"
AUDIENCE = "email"
LISTENER = "public"
FIRST = signing_key((1).to_bytes(32), NOW - 1_000)
SECOND = signing_key((2).to_bytes(32), NOW + 1_000)
_numbers = count(1)


def tokens(**changes: Any) -> policy_pb.GatewayTokens:
    fields = {"issuer": GATEWAY, "audiences": [AUDIENCE], "lifetime_seconds": 300, "listeners": [LISTENER]}
    return policy_pb.GatewayTokens(**{**fields, **changes})


def token_policy(*keys: policy_pb.ApiKey, **changes: Any) -> policy_pb.AuthzPolicy:
    """Whoever has one of these keys of acme gets tokens; k1 holds two scopes and a role where none are given."""
    declared = keys or (api_key(scopes=["email.send", "email.read"], roles=["mailer"], plan="pro"),)
    return key_policy(*declared, **{"tokens": tokens(), **changes})


@dataclass
class TokenGate:
    """The authorizer, and its endpoints over HTTP."""

    gate: Gate

    def sign_with(self, *keys: SigningKey) -> None:
        message = policy_pb.SigningKeys(
            keys=[policy_pb.SigningKey(private_key=key.number, signs_from=key.signs_from) for key in keys]
        )
        self.gate.authorizer.apply(SIGNING_KEYS_TYPE, {SIGNING_KEYS_NAME: message.SerializeToString()}, ())

    def client(self, listener: str = LISTENER, address: str = "192.0.2.7") -> httpx.AsyncClient:
        gate = self.gate
        desk = Desk(
            lambda: gate.authorizer.issuing, gate.uses, gate.clock, os.urandom, metrics=gate.metrics, log=gate.log
        )
        headers = {"x-tollgate-listener": listener, "x-forwarded-for": address, "x-request-id": f"r-{next(_numbers)}"}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(oauth_app(desk)), base_url="http://authorizer", headers=headers
        )

    async def ask(self, form: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        """The answer to a request for a token with the key k1 by HTTP Basic, or as the options say."""
        key = key_of("k1")
        sent = {"auth": (key.id, key.text), "data": {"grant_type": "client_credentials", **(form or {})}, **options}
        async with self.client() as client:
            return await client.post("/oauth/token", **sent)

    async def token(self, **form: str) -> str:
        answer = await self.ask(form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


def token_gate(message: policy_pb.AuthzPolicy | None = None) -> TokenGate:
    found = TokenGate(Gate().apply(token_policy() if message is None else message))
    found.sign_with(FIRST, SECOND)
    return found
