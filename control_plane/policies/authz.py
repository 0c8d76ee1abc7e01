"""The authorizer's policy, from the same representation as Envoy's routes."""

from control_plane.ir import model as ir
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb


def authz_policy(gateway: ir.Gateway) -> policy_pb.AuthzPolicy:
    """Everything the authorizer must know beyond what a route hands over with each request."""
    return policy_pb.AuthzPolicy(
        jwt=map(_issuer, gateway.jwt),
        bearer_tokens=map(_bearer, gateway.bearer_tokens),
        consumers=map(_consumer, gateway.consumers),
        plans=[plan.name for plan in gateway.plans],
        default_plan=gateway.default_plan or "",
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


def _consumer(consumer: ir.Consumer) -> policy_pb.Consumer:
    return policy_pb.Consumer(name=consumer.name, tenant=consumer.tenant or "", plan=consumer.plan or "")
