"""Issuers whose tokens Envoy shall judge although it could not judge them as the authorizer does."""

from collections.abc import Iterable, Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir import model as ir
from control_plane.ir.identity import api_keys
from control_plane.ir.limits import dimensions, owners
from control_plane.ir.llm.endpoints import has_models
from control_plane.ir.rules import accepted

OTHERWISE = "write `enforce: service`"


def native_problems(source: config.Config) -> Iterator[Problem]:
    """What keeps Envoy from judging tokens as written."""
    for index, issuer in enumerate(source.identity.jwt):
        if issuer.enforce == "envoy":
            path: Path = ("identity", "jwt", index)
            yield from _key_problems(issuer, path)
            yield from _consumer_problems(source, issuer, path)
            if not issuer.forward:
                cure = f"write the same `forward` for all, or {OTHERWISE}"
                yield from _forward_problems(source, (*path, "enforce"), "this issuer's", cure)
    tokens = source.identity.tokens
    if tokens is not None and tokens.enforce == "envoy":
        cure = f"write `forward: false` there, or {OTHERWISE}"
        yield from _forward_problems(source, ("identity", "tokens", "enforce"), "the gateway's own", cure)


def _key_problems(issuer: config.JwtIssuer, path: Path) -> Iterator[Problem]:
    if isinstance(issuer.keys, config.SecretKeys):
        yield Problem(
            (*path, "enforce"),
            "Envoy would show the secret to everybody who may read its configuration",
            f"let the issuer sign with a key pair, or {OTHERWISE}",
        )


def _consumer_problems(source: config.Config, issuer: config.JwtIssuer, path: Path) -> Iterator[Problem]:
    if issuer.claims.consumer is not None:
        yield Problem(
            (*path, "claims", "consumer"),
            "Envoy does not know the tenants and plans of the consumers that tokens name",
            f"drop it, or {OTHERWISE}",
        )
    elif api_keys(source) is not None or any(other.claims.consumer is not None for other in source.identity.jwt):
        for counter in _counting_consumers(source):
            yield Problem(
                (*path, "enforce"),
                f"{counter} counts by consumer, and Envoy does not know which subjects are called like a stored one",
                f"count by subject, or {OTHERWISE}",
            )


def _counting_consumers(source: config.Config) -> Iterator[str]:
    """But for declared consumers: their subjects are known."""
    for owner in owners(source):
        if owner.path[0] != "consumers" and _by_consumer((*owner.limits, *owner.quotas)):
            yield owner.name
    for route in source.routes:
        if "jwt" in (accepted(route, source) or ()) and _by_consumer(config.listed(route.limits)):
            yield f"route {route.name!r}"
    if has_models(source) and "jwt" in (accepted(source.llm, source) or ()):
        limits = (*source.llm.limits, *(limit for model in source.models for limit in model.limits))
        if _by_consumer(limits):
            yield "a limit of models"


def _by_consumer(rules: Iterable[config.Limit | config.Quota]) -> bool:
    return any(ir.Dimension.CONSUMER in dimensions(rule) for rule in rules)


def _forward_problems(source: config.Config, path: Path, whose: str, cure: str) -> Iterator[Problem]:
    """Envoy removes what stands in `authorization`, whatever it is."""
    identity = source.identity
    forwarded = [item.name for item in identity.jwt if item.forward]
    forwarded += [item.name for item in identity.bearer_tokens if item.forward]
    if (keys := api_keys(source)) is not None and keys.forward and "authorization" in keys.headers:
        forwarded.append("api_keys")
    if forwarded:
        yield Problem(
            path,
            f"Envoy would remove the credentials of {forwarded[0]!r} with {whose}, and those are forwarded",
            cure,
        )
