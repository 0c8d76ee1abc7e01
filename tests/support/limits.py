"""Limit sets and rate-limit calls, as the control plane and Envoy would send them."""

from collections.abc import Iterable, Mapping
from typing import Any

from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf.wrappers_pb2 import UInt64Value

from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

SUBJECT = policy_pb.DIMENSION_SUBJECT
TENANT = policy_pb.DIMENSION_TENANT
CONSUMER = policy_pb.DIMENSION_CONSUMER
IP = policy_pb.DIMENSION_IP
ROUTE = policy_pb.DIMENSION_ROUTE
PLAN = policy_pb.DIMENSION_PLAN
MODEL = policy_pb.DIMENSION_MODEL
REQUESTS = policy_pb.UNIT_REQUESTS
TOKENS = policy_pb.UNIT_TOKENS
DAY, MONTH = policy_pb.CALENDAR_DAY, policy_pb.CALENDAR_MONTH
REPORT = policy_pb.MODE_REPORT
# What a rule says where a test says nothing else.
PLAIN = {"mode": policy_pb.MODE_ENFORCE, "on_store_failure": policy_pb.STORE_FAILURE_DENY}


def limit(
    amount: int, seconds: int, *per: int, name: str | None = None, unit: int = REQUESTS, **fields: Any
) -> policy_pb.Limit:
    """A limit; its name says what it is unless one is given."""
    name = f"{amount}/{seconds}:{'+'.join(map(str, per))}" if name is None else name
    return policy_pb.Limit(id=name, amount=amount, period_seconds=seconds, per=per, unit=unit, **{**PLAIN, **fields})


def concurrent(amount: int, *per: int, **fields: Any) -> policy_pb.Limit:
    return limit(amount, 0, *per, unit=policy_pb.UNIT_CONCURRENT, **fields)


def quota(
    usage: str, amount: int, *per: int, name: str | None = None, window: int = MONTH, **fields: Any
) -> policy_pb.Quota:
    """A quota; its name says what it is unless one is given."""
    name = f"{usage}:{window}:{'+'.join(map(str, per))}" if name is None else name
    return policy_pb.Quota(id=name, usage=usage, amount=amount, window=window, per=per, **{**PLAIN, **fields})


def limit_set(*rules: policy_pb.Limit | policy_pb.Quota, **fields: Any) -> bytes:
    """A serialized set of limits and quotas."""
    limits = [rule for rule in rules if isinstance(rule, policy_pb.Limit)]
    quotas = [rule for rule in rules if isinstance(rule, policy_pb.Quota)]
    return policy_pb.LimitSet(limits=limits, quotas=quotas, **fields).SerializeToString()


def metering(
    input_price: int = 0, output_price: int = 0, targets: Iterable[tuple[str, int, int]] = ()
) -> policy_pb.Metering:
    """Prices in pico-dollars a token; of `targets` each its own."""
    return policy_pb.Metering(
        input_price=input_price,
        output_price=output_price,
        targets=[policy_pb.Target(cluster=name, input_price=in_, output_price=out) for name, in_, out in targets],
    )


def descriptor(*pairs: tuple[str, str], **fields: Any) -> ratelimit_pb2.RateLimitDescriptor:
    entries = [ratelimit_pb2.RateLimitDescriptor.Entry(key=key, value=value) for key, value in pairs]
    return ratelimit_pb2.RateLimitDescriptor(entries=entries, **fields)


def identified(
    *,
    route: str = "email",
    subject: str = "alice",
    tenant: str = "acme",
    consumer: str = "mailer",
    plan: str = "-",
    **fields: Any,
) -> ratelimit_pb2.RateLimitDescriptor:
    """Descriptor 0."""
    pairs = {"route": route, "subject": subject, "tenant": tenant, "consumer": consumer, "plan": plan}
    return descriptor(*pairs.items(), **fields)


def numbers(values: Mapping[str, int]) -> list[ratelimit_pb2.RateLimitDescriptor]:
    """A descriptor a number."""
    return [descriptor(("number", name), hits_addend=UInt64Value(value=value)) for name, value in values.items()]


def asked(
    hold: str = "h1", *, output: int = 100, received: int = 0, answers: int = 0, **identity: Any
) -> list[ratelimit_pb2.RateLimitDescriptor]:
    """The descriptors of a metered call when it begins."""
    values = {"max_tokens": output, "max_completion_tokens": 0, "num_predict": 0, "n": answers, "received": received}
    return [identified(**identity), descriptor(("hold", hold)), *numbers(values)]


def done(
    hold: str = "h1",
    *,
    prompt: int = 0,
    output: int = 0,
    received: int = 0,
    sent: int = 1000,
    status: int = 200,
    attempts: int = 1,
    held: int | None = None,
    cluster: str | None = None,
    **identity: Any,
) -> list[ratelimit_pb2.RateLimitDescriptor]:
    """The descriptors of a metered call when its stream ends."""
    values = {"input": prompt, "output": output, "total": prompt + output, "cached": 0, "received": received}
    values |= {"sent": sent, "status": status, "attempts": attempts} | ({} if held is None else {"held": held})
    pairs = [(entry.key, entry.value) for entry in identified(**identity).entries]
    asked_last = [] if cluster is None else [descriptor(("destination_cluster", cluster))]
    return [descriptor(("done", hold), *pairs, hits_addend=UInt64Value()), *asked_last, *numbers(values)]


def call(*descriptors: ratelimit_pb2.RateLimitDescriptor, domain: str = "tollgate", **fields: Any) -> bytes:
    return rls_pb2.RateLimitRequest(domain=domain, descriptors=descriptors, **fields).SerializeToString()
