"""The key set of an issuer as it is published now, by its URL or by way of the issuer's discovery document."""

from typing import Final

from control_plane.config.key_sets import KeySource
from control_plane.key_sets.documents import Documents
from control_plane.polling.answers import Unavailable, shown
from service_kit.strict_json import strict_object
from service_kit.verification_keys import UnusableKeys, public_jwks, usable_jwks

# OpenID Connect Discovery 1.0, 4: below the issuer, path and all.
WELL_KNOWN: Final = "/.well-known/openid-configuration"


async def fetched_key_set(source: KeySource, documents: Documents) -> bytes:
    """The set in its one spelling; Unavailable where there is none that this issuer's tokens could be verified by."""
    url = await _discovered(source, documents) if source.url is None else source.url
    body = await documents.fetch(url, private=source.private)
    try:
        found = public_jwks(body.decode())
        usable_jwks(found, source.algorithms)
    except UnicodeDecodeError as error:
        raise Unavailable(f"{shown(url)} answers with what is no UTF-8") from error
    except UnusableKeys as error:
        raise Unavailable(f"{shown(url)}: {error}") from error
    return found.encode()


async def _discovered(source: KeySource, documents: Documents) -> str:
    """Where the issuer says its keys are. It must be the issuer that was asked, to the letter (4.3)."""
    url = source.issuer.removesuffix("/") + WELL_KNOWN
    body = await documents.fetch(url, private=source.private)
    try:
        document = strict_object(body.decode())
    except ValueError as error:  # no UTF-8 is one, too
        raise Unavailable(f"{url} is no JSON object, or repeats a member") from error
    if document.get("issuer") != source.issuer:
        raise Unavailable(f"{url} speaks for another issuer: its `issuer` must be {source.issuer!r}, to the letter")
    keys = document.get("jwks_uri")
    if not isinstance(keys, str):
        raise Unavailable(f"{url} has no `jwks_uri`")
    return keys
