"""Limit sets and rate-limit calls, as the control plane and Envoy would send them."""

from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.service.ratelimit.v3 import rls_pb2

from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

SUBJECT = policy_pb.DIMENSION_SUBJECT
TENANT = policy_pb.DIMENSION_TENANT
CONSUMER = policy_pb.DIMENSION_CONSUMER
IP = policy_pb.DIMENSION_IP
ROUTE = policy_pb.DIMENSION_ROUTE


def limit(requests, seconds, *per, name=None):
    """A limit; its name says what it is unless one is given."""
    name = f"{requests}/{seconds}:{'+'.join(map(str, per))}" if name is None else name
    return policy_pb.Limit(id=name, requests=requests, period_seconds=seconds, per=per)


def limit_set(*limits):
    return policy_pb.LimitSet(limits=limits).SerializeToString()


def descriptor(*pairs, **fields):
    entries = [ratelimit_pb2.RateLimitDescriptor.Entry(key=key, value=value) for key, value in pairs]
    return ratelimit_pb2.RateLimitDescriptor(entries=entries, **fields)


def identified(*, route="email", subject="alice", tenant="acme", consumer="mailer", plan="-", **fields):
    """Descriptor 0."""
    pairs = {"route": route, "subject": subject, "tenant": tenant, "consumer": consumer, "plan": plan}
    return descriptor(*pairs.items(), **fields)


def call(*descriptors, domain="tollgate", **fields):
    return rls_pb2.RateLimitRequest(domain=domain, descriptors=descriptors, **fields).SerializeToString()
