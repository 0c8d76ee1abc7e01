"""The authorizer's policy, from the same representation as Envoy's routes."""

from control_plane.ir import model as ir
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb


def authz_policy(gateway: ir.Gateway, key_pepper: bytes = b"") -> policy_pb.AuthzPolicy:
    """Everything the authorizer must know beyond what a route hands over with each request.

    `key_pepper` is the one of API keys where the configuration names none.
    """
    return policy_pb.AuthzPolicy(
        jwt=map(_issuer, gateway.jwt),
        bearer_tokens=map(_bearer, gateway.bearer_tokens),
        consumers=map(_consumer, gateway.consumers),
        plans=[plan.name for plan in gateway.plans],
        default_plan=gateway.default_plan or "",
        api_keys=None if gateway.api_keys is None else _api_keys(gateway.api_keys, key_pepper),
        declared_keys=map(_declared_key, gateway.declared_keys),
        mtls=None if gateway.mtls is None else _mtls(gateway.mtls),
        tokens=None if gateway.tokens is None else _tokens(gateway.tokens),
    )


def _issuer(issuer: ir.JwtIssuer) -> policy_pb.JwtIssuer:
    claims = issuer.claims
    return policy_pb.JwtIssuer(
        name=issuer.name,
        issuer=issuer.issuer,
        audiences=issuer.audiences,
        algorithms=issuer.algorithms,
        secret=None if issuer.secret is None else issuer.secret.reveal(),
        jwks=issuer.jwks,
        claims=policy_pb.Claims(
            subject=claims.subject,
            tenant=claims.tenant or "",
            consumer=claims.consumer or "",
            plan=claims.plan or "",
            scopes=claims.scopes,
            roles=claims.roles,
        ),
        leeway_seconds=issuer.leeway,
        max_lifetime_seconds=issuer.max_lifetime or 0,
        forward=issuer.forward,
        fetched=issuer.fetched,
        type=issuer.type or "",
    )


def _bearer(token: ir.BearerToken) -> policy_pb.BearerToken:
    return policy_pb.BearerToken(
        name=token.name,
        sha256=token.sha256,
        subject=token.subject,
        tenant=token.tenant or "",
        consumer=token.consumer or "",
        plan=token.plan or "",
        scopes=token.scopes,
        roles=token.roles,
        forward=token.forward,
    )


def _api_keys(keys: ir.ApiKeys, key_pepper: bytes) -> policy_pb.ApiKeySettings:
    return policy_pb.ApiKeySettings(
        headers=keys.headers,
        query=keys.query or "",
        cookie=keys.cookie or "",
        pepper=key_pepper if keys.pepper is None else keys.pepper.reveal(),
        forward=keys.forward,
        report_addresses=keys.report_addresses,
    )


def _declared_key(key: ir.ApiKey) -> policy_pb.ApiKey:
    return policy_pb.ApiKey(
        id=key.id,
        hash=key.hash,
        consumer=key.consumer,
        scopes=key.scopes,
        roles=key.roles,
        allow_ips=key.allow_ips,
        expires=key.expires or 0,
        plan=key.plan or "",
        models=None if key.models is None else policy_pb.Models(patterns=key.models),
    )


def _tokens(tokens: ir.Tokens) -> policy_pb.GatewayTokens:
    return policy_pb.GatewayTokens(
        issuer=tokens.issuer,
        audiences=tokens.audiences,
        lifetime_seconds=tokens.lifetime,
        listeners=tokens.listeners,
    )


def _mtls(mtls: ir.Mtls) -> policy_pb.MtlsSettings:
    return policy_pb.MtlsSettings(
        subject=f"CERTIFICATE_NAME_{mtls.subject.upper()}",
        clients=[
            policy_pb.MtlsClient(
                name=client.name,
                tenant=client.tenant or "",
                consumer=client.consumer or "",
                plan=client.plan or "",
                scopes=client.scopes,
                roles=client.roles,
            )
            for client in mtls.clients
        ],
    )


def _consumer(consumer: ir.Consumer) -> policy_pb.Consumer:
    return policy_pb.Consumer(name=consumer.name, tenant=consumer.tenant or "", plan=consumer.plan or "")
