"""Rules that refuse callers or calls which their author may not have thought of: they are enforced as written."""

from collections.abc import Iterable, Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir import model as ir
from control_plane.ir.checks.limits import is_counted
from control_plane.ir.limits import Owner, dimensions, owners
from control_plane.ir.metering import api_of
from control_plane.ir.rules import accepted
from service_kit.contract import CREDENTIAL_ANONYMOUS, USAGE_TOKENS

Rule = config.Limit | config.Quota


def refused(source: config.Config) -> Iterator[Problem]:
    """Rules that count per tenant callers who have none, and that admit fewer tokens than a call may ask for."""
    known = tuple(owners(source))
    by_tenant = [path for owner in known if owner.path[0] != "tenants" for path in _per_tenant(owner)]
    for index, route in enumerate(source.routes):
        by_tenant += _per_tenant(Owner("", ("routes", index), config.listed(route.limits), ()))
    by_tenant += _per_tenant(Owner("", ("llm",), source.llm.limits, ()))
    for index, model in enumerate(source.models):
        by_tenant += _per_tenant(Owner("", ("models", index), model.limits, ()))
    without = next(_without_tenant(source), None) if by_tenant else None
    if without is not None:
        for path in by_tenant:
            message = f"{without} has no tenant to count by, and is refused with 403"
            yield Problem(path, message, "give it one, or count by something else")
    yield from _unaffordable(source, known)


def _per_tenant(owner: Owner) -> Iterator[Path]:
    lists: tuple[tuple[str, tuple[Rule, ...]], ...] = (("limits", owner.limits), ("quotas", owner.quotas))
    for key, rules in lists:
        for index, rule in enumerate(rules):
            if rule.mode == "enforce" and ir.Dimension.TENANT in dimensions(rule) and not _is_kept_here(rule):
                yield (*owner.path, key, index)


def _is_kept_here(rule: Rule) -> bool:
    """Those count what is missing as one more tenant."""
    return isinstance(rule, config.Limit) and rule.scope == "instance"


def _without_tenant(source: config.Config) -> Iterator[str]:
    """Callers who have no tenant, as far as the configuration tells."""
    tenants = {consumer.name: consumer.tenant for consumer in source.consumers}
    yield from (f"consumer {name!r}" for name, tenant in tenants.items() if tenant is None)
    for token in source.identity.bearer_tokens:
        if token.tenant is None and tenants.get(token.consumer or "") is None:
            yield f"bearer token {token.name!r}"
    yield from (f"who comes with a token of {issuer.name!r}" for issuer in source.identity.jwt if _names_none(issuer))
    clients = () if source.identity.mtls is None else source.identity.mtls.clients
    for client in clients:
        if client.tenant is None and tenants.get(client.consumer or "") is None:
            yield f"client {client.name!r}"
    written = (source.llm.auth, *(route.auth for route in source.routes))
    if any(isinstance(auth, tuple) and CREDENTIAL_ANONYMOUS in auth for auth in written):
        yield "who comes without a credential"


def _names_none(issuer: config.JwtIssuer) -> bool:
    return issuer.claims.tenant is None and issuer.claims.consumer is None


def _unaffordable(source: config.Config, known: Iterable[Owner]) -> Iterator[Problem]:
    """Where a client names no number, the gateway asks for the most, which has to fit."""
    least = min((number for owner in known for number in _tokens(owner)), default=None)
    yield from _unaffordable_models(source, least)
    for index, route in enumerate(source.routes):
        if route.tokens is None or api_of(route) == "embeddings":
            continue
        own = min(_tokens(Owner("", (), config.listed(route.limits), ())), default=None)
        theirs = least if is_counted(route, source) else None
        admitted = min((number for number in (own, theirs) if number is not None), default=None)
        if admitted is not None and route.tokens.most > admitted:
            message = f"a call that names no number asks for {route.tokens.most} tokens, and a rule admits {admitted}"
            yield Problem(("routes", index, "tokens"), message, "lower `most`, or raise the rule")


def _unaffordable_models(source: config.Config, least: int | None) -> Iterator[Problem]:
    theirs = least if accepted(source.llm, source) else None
    of_all = min(_tokens(Owner("", (), source.llm.limits, ())), default=None)
    for index, model in enumerate(source.models):
        own = min(_tokens(Owner("", (), model.limits, ())), default=None)
        admitted = min((number for number in (own, of_all, theirs) if number is not None), default=None)
        if admitted is not None and set(model.apis) != {"embeddings"} and model.max_tokens > admitted:
            message = f"a call that names no number asks for {model.max_tokens} tokens, and a rule admits {admitted}"
            yield Problem(("models", index), message, "lower `max_tokens`, or raise the rule")


def _tokens(owner: Owner) -> Iterator[int]:
    yield from (limit.most for limit in owner.limits if limit.tokens is not None and limit.mode == "enforce")
    yield from (quota.units for quota in owner.quotas if quota.usage == USAGE_TOKENS and quota.mode == "enforce")
