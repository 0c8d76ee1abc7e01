"""API keys: ids that stand twice, places where none can be, and routes that depend on what the gateway takes away."""

from collections.abc import Iterator
from itertools import chain

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.ir.checks.headers import OF_THE_CONNECTION, is_ours
from control_plane.ir.ledger import reading_usage
from control_plane.ir.llm.endpoints import has_models
from control_plane.ir.rules import accepted
from service_kit.contract import CREDENTIAL_API_KEY

AUTHORIZATION = "authorization"


def api_key_problems(source: config.Config) -> Iterator[Problem]:
    """What is wrong with keys and with where they are looked for."""
    yield from _unusable_headers(source.identity.api_keys)
    yield from _repeated_ids(source)


def declared_keys(source: config.Config) -> Iterator[tuple[Path, config.Consumer, config.DeclaredKey]]:
    """The keys that are declared, each with its place and its owner."""
    for index, consumer in enumerate(source.consumers):
        for number, key in enumerate(consumer.keys):
            yield ("consumers", index, "keys", number), consumer, key


def accepts_api_keys(source: config.Config) -> bool:
    """Whether some route does, the endpoint that gives tokens for them, or that of usage."""
    if source.identity.tokens is not None or CREDENTIAL_API_KEY in reading_usage(source):
        return True
    asking = (*source.routes, *((source.llm,) if has_models(source) else ()))
    return any(CREDENTIAL_API_KEY in (accepted(item, source) or ()) for item in asking)


def taken_away(route: config.Route, source: config.Config, path: Path) -> Iterator[Problem]:
    """Where the route is chosen by what the gateway removes from requests, since it may hold a key."""
    keys = source.identity.api_keys
    if CREDENTIAL_API_KEY not in (accepted(route, source) or ()):
        return
    headers = {*keys.headers, *(("cookie",) if keys.cookie is not None else ())} - {AUTHORIZATION}  # no route may ever
    parameters = {keys.query} - {None}
    places = chain(
        (("headers", name) for name in route.match.headers if name in headers),
        (("query", name) for name in route.match.query if name in parameters),
    )
    for kind, name in places:
        message = f"{name!r} may hold an API key, which the gateway removes: no route may depend on it"
        yield Problem((*path, "match", kind, name), message, "choose another, or look for keys elsewhere", at_key=True)


def _unusable_headers(keys: config.ApiKeys) -> Iterator[Problem]:
    for index, name in enumerate(keys.headers):
        path: Path = ("identity", "api_keys", "headers", index)
        if name == "cookie":
            yield Problem(path, "a cookie has a key of its own", "write `cookie: NAME`")
        elif name == "host" or name in OF_THE_CONNECTION or is_ours(name):
            yield Problem(path, f"{name!r} carries no key of a client", "choose another name, such as x-api-key")


def _repeated_ids(source: config.Config) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for path, consumer, key in declared_keys(source):
        if (owner := owners.get(key.id)) is not None:
            yield Problem((*path, "id"), f"the key {key.id!r} is declared for {owner!r}, too", "make a key for each")
        owners.setdefault(key.id, consumer.name)
