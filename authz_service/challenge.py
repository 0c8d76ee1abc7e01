"""What a refused client is told to send: the `WWW-Authenticate` of a route (RFC 9110, 11.6.1), and the same in words.

A route has one challenge, by the first of its kinds that HTTP has a scheme for: `Bearer` (RFC 6750), ours for keys that
stand in a header of their own, ours for certificates. The parameters of errors are those of RFC 6750, 3.
"""

from collections.abc import Collection, Iterator
from typing import Final

from authz_service.keys import KeySettings
from authz_service.places import AUTHORIZATION
from service_kit.contract import CREDENTIAL_API_KEY, CREDENTIAL_BEARER, CREDENTIAL_JWT, CREDENTIAL_MTLS

REALM: Final = 'realm="tollgate"'


def challenge(accept: Collection[str], keys: KeySettings | None, parameters: str) -> str:
    """The header's value for a route that accepts these kinds; `parameters` say what was wrong."""
    own = None if keys is None or CREDENTIAL_API_KEY not in accept else next(iter(keys.headers), "")
    if {CREDENTIAL_JWT, CREDENTIAL_BEARER}.intersection(accept) or own == AUTHORIZATION:
        said = ["Bearer " + REALM]
    elif own is not None:
        said = ["ApiKey " + REALM, f'header="{own}"' if own else ""]
    else:
        said = ["Certificate " + REALM]
    return ", ".join(filter(None, (*said, parameters)))


def how_to_send(accept: Collection[str], keys: KeySettings | None) -> str:
    """The ways in which the route takes credentials, in words."""
    return " or ".join(dict.fromkeys(_ways(accept, keys)))


def _ways(accept: Collection[str], keys: KeySettings | None) -> Iterator[str]:
    if {CREDENTIAL_JWT, CREDENTIAL_BEARER}.intersection(accept):
        yield "send `Authorization: Bearer TOKEN`"
    if CREDENTIAL_API_KEY in accept and keys is not None:
        yield _way_of_keys(keys)
    if CREDENTIAL_MTLS in accept:
        yield "connect with a client certificate"


def _way_of_keys(keys: KeySettings) -> str:
    if keys.headers:
        scheme = "Bearer " if keys.headers[0] == AUTHORIZATION else ""
        return f"send `{keys.headers[0].title()}: {scheme}KEY`"
    return f"send the key as `?{keys.query}=KEY`" if keys.query else f"send the key as the cookie {keys.cookie}"
