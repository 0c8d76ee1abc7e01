"""What an admin should hear of although it is enforced as written."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import SecretStr

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.config.values.pem import certificates
from control_plane.ir.checks.api_keys import accepts_api_keys, declared_keys
from control_plane.ir.checks.llm import names_of_nothing
from control_plane.ir.checks.llm_endpoints import endpoints_taken, upstreams_of_models
from control_plane.ir.checks.models import names_of
from control_plane.ir.openings import openings
from control_plane.ir.refused import refused
from control_plane.ir.rules import accepted
from control_plane.ir.uncounted import ways_past_models
from control_plane.ir.upstreams import tells_health

# What other gateways take for a variable.
COLON_VARIABLE = re.compile(r"/:[A-Za-z]")


def warnings(source: config.Config, now: float) -> Iterator[Problem]:
    """Doubtful parts of the configuration at this time, in seconds since the epoch."""
    for name, upstream in source.upstreams.items():
        if any(address.tls for address in upstream.addresses) and not upstream.tls.verify:
            path: Path = ("upstreams", name, "tls", "verify")
            yield Problem(path, "its certificate is not verified: anybody may answer in its place", "for tests only")
    yield from _openings(source)
    yield from refused(source)
    for index, route in enumerate(source.routes):
        if route.match.path is not None and COLON_VARIABLE.search(route.match.path):
            path = ("routes", index, "match", "path")
            yield Problem(path, "`:` begins no variable, and is matched as it stands", "write {name} for a segment")
        if route.cache is not None and not accepted(route, source):
            path = ("routes", index, "cache")
            yield Problem(
                path,
                "Envoy keeps answers until it ends: whoever varies the query fills its memory",
                "let the upstream mark few answers as cacheable, and limit the route `per: ip`",
            )
    yield from _models(source)
    yield from _discovery(source)
    yield from ways_past_models(source)
    yield from _keys(source, now)
    for path, pem in _certificates(source):
        yield from _dates(path, pem, datetime.fromtimestamp(now, UTC))


def _models(source: config.Config) -> Iterator[Problem]:
    named = upstreams_of_models(source)
    for name, upstream in source.upstreams.items():
        if upstream.api is not None and name not in named and not tells_health(upstream):
            message = "it does nothing: neither `models` nor `discovery` names the upstream"
            yield Problem(("upstreams", name, "api"), message, "name it there, or drop it")
    for index, call in endpoints_taken(source):
        message = f"on these hosts it wins over {call!r}: no model is called there"
        yield Problem(("routes", index, "match", "hosts"), message, "choose another path if models are meant")
    for path in names_of_nothing(source):
        yield Problem(path, "no model that is written is called so", "check the spelling; one may be discovered")
    known = names_of(source)
    for index, model in enumerate(source.models):
        for number, item in enumerate(model.fallback):
            other = known.get(item) if isinstance(item, str) else None
            if other is not None and (model.price is None) != (other.price is None):
                costs, free = (model, other) if other.price is None else (other, model)
                message = f"calls of {free.name!r} cost nothing, and those of {costs.name!r} do"
                yield Problem(("models", index, "fallback", number), message, "write a `price` at both")


def _discovery(source: config.Config) -> Iterator[Problem]:
    """Upstreams whose calls may go well, and which are perhaps not found where they are asked for their models."""
    for index, name in enumerate(() if source.discovery is None else source.discovery.upstreams):
        upstream, place = source.upstreams[name], ("discovery", "upstreams", index)
        if upstream.protocol == "http2" and not any(address.tls for address in upstream.addresses):
            message = "it is asked for its models by HTTP/1.1, and its `protocol` is http2"
            yield Problem(place, message, "see in `tollgate status` whether it answers, or write its models")
        service = upstream.kubernetes
        if service is not None and service.port != service.address.port:
            message = f"it is asked for its models at {service.address}, and its pods listen on port {service.port}"
            yield Problem(place, message, "give the Service that port, or write its models")


def _keys(source: config.Config, now: float) -> Iterator[Problem]:
    opens = accepts_api_keys(source)
    for path, _, key in declared_keys(source):
        if not opens:
            yield Problem(path, "no route accepts API keys, so it opens nothing", "write `auth: [api_key]` at routes")
        elif key.expires is not None and key.expires <= now:
            yield Problem((*path, "expires"), "the key has expired", "drop it")


def _openings(source: config.Config) -> Iterator[Problem]:
    for index, private in openings(source):
        message = f"it is public, and wins over the prefix of {private!r} where both match"
        yield Problem(("routes", index, "match"), message, "begin it with other segments, or give it `auth`")


def _certificates(source: config.Config) -> Iterator[tuple[Path, SecretStr]]:
    """Every PEM text of certificates, with its place."""
    for name, upstream in source.upstreams.items():
        for key in ("ca", "certificate"):
            if (text := getattr(upstream.tls, key)) is not None:
                yield ("upstreams", name, "tls", key), text
    for name, listener in source.listeners.items():
        for key in ("certificate", "client_ca"):
            if listener.tls is not None and (text := getattr(listener.tls, key)) is not None:
                yield ("listeners", name, "tls", key), text


def _dates(path: Path, pem: SecretStr, now: datetime) -> Iterator[Problem]:
    for certificate in certificates(pem.get_secret_value()):
        if certificate.not_valid_after_utc < now:
            day = certificate.not_valid_after_utc.date()
            yield Problem(path, f"a certificate expired on {day}", "renew it")
        elif certificate.not_valid_before_utc > now:
            day = certificate.not_valid_before_utc.date()
            yield Problem(path, f"a certificate is valid only from {day}", "check it, and this machine's clock")
