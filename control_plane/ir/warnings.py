"""What an admin should hear of although it is enforced as written."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import SecretStr

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem
from control_plane.config.values.pem import certificates
from control_plane.ir.checks.api_keys import accepts_api_keys, declared_keys
from control_plane.ir.openings import openings
from control_plane.ir.refused import refused
from control_plane.ir.rules import accepted

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
    yield from _keys(source, now)
    for path, pem in _certificates(source):
        yield from _dates(path, pem, datetime.fromtimestamp(now, UTC))


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
