"""Tokens of the gateway: an issuer that is another one, listeners without endpoints, routes in place of endpoints."""

from collections.abc import Iterator

import re2

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem, did_you_mean
from control_plane.ir.model import PathKind, PathMatch
from control_plane.ir.routes import path_match
from service_kit.gateway_tokens import PATHS

TOKENS: Path = ("identity", "tokens")


def token_problems(source: config.Config) -> Iterator[Problem]:
    """What keeps the gateway from issuing tokens as written."""
    tokens = source.identity.tokens
    if tokens is None:
        return
    twin = next((issuer.name for issuer in source.identity.jwt if issuer.issuer == tokens.issuer), None)
    if twin is not None:
        cure = f"drop {twin!r}: the gateway knows its own tokens"
        yield Problem((*TOKENS, "issuer"), f"{tokens.issuer!r} is the issuer of {twin!r}", cure)
    for index, name in enumerate(tokens.listeners):
        path: Path = (*TOKENS, "listeners", index)
        listener = source.listeners.get(name)
        if listener is None:
            cure = did_you_mean(name, source.listeners) or "declare it in `listeners`"
            yield Problem(path, f"there is no listener {name!r}", cure)
        elif listener.https_redirect is not None:
            yield Problem(path, f"{name!r} redirects everything", "name the listener that it redirects to")


def endpoint_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    """A route that is meant for the path of an endpoint, which would never get to it."""
    if source.identity.tokens is None:
        return
    match = path_match(route.match)
    taken = next((endpoint for endpoint in PATHS if is_meant_for(match, endpoint)), None)
    if taken is not None:
        key = "path_regex" if match.kind is PathKind.REGEX else "path"
        yield Problem(
            (*path, "match", key),
            f"{taken!r} is answered by the gateway, on all hosts, since there is `identity.tokens`",
            "choose other paths, or name those below one by one; `/*` may stay",
        )


def is_meant_for(match: PathMatch, endpoint: str) -> bool:
    """Whether it takes the endpoint; what begins with a variable, or takes everything, is not meant for it."""
    if match.kind is not PathKind.REGEX and match.segments[:1] in ((), (None,)):
        return False
    return takes(match, endpoint)


def takes(match: PathMatch, endpoint: str) -> bool:
    """Whether the endpoint's path is one of those that it matches."""
    if match.kind is PathKind.REGEX:
        return re2.fullmatch(match.text, endpoint) is not None
    segments, asked = match.segments, tuple(endpoint.split("/")[1:])
    if len(segments) > len(asked):
        return False
    whole = match.kind is PathKind.PREFIX or len(segments) == len(asked)
    return whole and all(own in {None, other} for own, other in zip(segments, asked, strict=False))
