"""What routes ask of callers: rules that could never hold, and certificates that nobody would verify."""

from collections.abc import Iterator

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem, did_you_mean
from control_plane.ir.rules import accepted
from service_kit.contract import CREDENTIAL_ANONYMOUS

NO_CLIENT_CA = "name the authorities that sign them as `client_ca` in the `tls` of a listener"


def demand_problems(source: config.Config, route: config.Route | config.Llm, path: Path) -> Iterator[Problem]:
    """What keeps a route's demands from being enforced, or reported, as written."""
    accept, require = accepted(route, source), route.require
    if not accept:
        return
    where: Path = (*path, "auth") if route.auth is not None else ("defaults", "auth")
    if accept == (CREDENTIAL_ANONYMOUS,):
        cure = "write `auth: none`, or beside it what may be presented"
        yield Problem(where, "no credential would ever be looked at", cure)
    for index, plan in enumerate(require.plans):
        if plan not in source.plans:
            cure = did_you_mean(plan, source.plans) or "declare it in `plans`"
            yield Problem((*path, "require", "plans", index), f"there is no plan {plan!r}", cure)
    if CREDENTIAL_ANONYMOUS in accept and require.mode == "enforce":
        yield from _out_of_reach(source, require, (*path, "require"))


def _out_of_reach(source: config.Config, require: config.Require, path: Path) -> Iterator[Problem]:
    cure = "drop `anonymous` from `auth`, or the demand"
    if require.scopes or require.roles:
        yield Problem(path, "a caller without a credential holds no scopes and no roles", cure, at_key=True)
    elif require.plans and source.defaults.plan not in require.plans:
        yield Problem(path, "a caller without a credential has `defaults.plan` alone", cure, at_key=True)


def mtls_problems(source: config.Config) -> Iterator[Problem]:
    """What keeps certificates of clients from saying who they are."""
    mtls, path = source.identity.mtls, ("identity", "mtls")
    if mtls is None:
        return
    asking = [name for name, listener in source.listeners.items() if listener.tls and listener.tls.client_ca]
    if not asking:
        yield Problem(path, "no listener verifies client certificates", NO_CLIENT_CA, at_key=True)
    authorities = {name: _authorities(source.listeners[name]) for name in asking}
    for name in asking[1:]:
        if authorities[name] != authorities[asking[0]]:
            message = f"it trusts others than {asking[0]!r}, and each could name clients of the other"
            yield Problem(("listeners", name, "tls", "client_ca"), message, "name the same authorities at both")
    yield from _unknown_names(source, mtls)


def _authorities(listener: config.Listener) -> str:
    ca = None if listener.tls is None else listener.tls.client_ca
    return "" if ca is None else ca.get_secret_value().strip()


def _unknown_names(source: config.Config, mtls: config.Mtls) -> Iterator[Problem]:
    consumers = {consumer.name for consumer in source.consumers}
    for index, client in enumerate(mtls.clients):
        path: Path = ("identity", "mtls", "clients", index)
        if client.consumer is not None and client.consumer not in consumers:
            cure = did_you_mean(client.consumer, consumers) or "declare it in `consumers`"
            yield Problem((*path, "consumer"), f"there is no consumer {client.consumer!r}", cure)
        if client.plan is not None and client.plan not in source.plans:
            cure = did_you_mean(client.plan, source.plans) or "declare it in `plans`"
            yield Problem((*path, "plan"), f"there is no plan {client.plan!r}", cure)


def reserved_problems(source: config.Config) -> Iterator[Problem]:
    """Consumers whose name stands for callers without a credential."""
    for index, consumer in enumerate(source.consumers):
        if consumer.name == CREDENTIAL_ANONYMOUS:
            message = f"{consumer.name!r} stands for callers without a credential"
            yield Problem(("consumers", index, "name"), message, "choose another name")
