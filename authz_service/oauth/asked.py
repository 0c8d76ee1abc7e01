"""Reads a token request (RFC 6749, 4.4.2 and 2.3.1) strictly: what could be read in two ways is refused.

A client sends its API key once: as the secret of HTTP Basic, in the form, or as a bearer token.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from authz_service.oauth.refusal import UNSUPPORTED_GRANT_TYPE, Refused, bad_request, unknown_client
from service_kit.contract import LONGEST_CREDENTIAL

FORM: Final = "application/x-www-form-urlencoded"
GRANT_TYPE: Final = "client_credentials"
LARGEST_BODY: Final = 16_384
MOST_FIELDS: Final = 32
BASIC, BEARER = "Basic", "Bearer"
# RFC 9110, 11.4: the scheme is case-insensitive. No comma: it joins two headers into one.
_AUTHORIZATION: Final = re.compile(rb"(?i:(basic)|(bearer)) +([\x21-\x2b\x2d-\x7e]+)")
# RFC 6749, 3.3.
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, not yet believed. `id` None: it said none; `scheme` None: it authenticates in the form."""

    id: str | None
    secret: bytes = field(repr=False)
    scheme: str | None


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What is asked for; `scope` None: all that the key has."""

    client: Client
    scope: frozenset[str] | None


def read_request(
    *, query: str, content_type: Sequence[str], authorization: Sequence[bytes], body: bytes
) -> TokenRequest:
    """The request, or Refused."""
    if query:
        raise bad_request("The address takes no query: credentials do not belong into addresses.")
    if len(content_type) != 1 or content_type[0].partition(";")[0].strip().lower() != FORM:
        raise bad_request(f"Send the request as {FORM}.")
    form = _form(body)
    client = _client(form, authorization)
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise bad_request(f"grant_type is missing: send grant_type={GRANT_TYPE}.")
    if grant_type != GRANT_TYPE:
        raise Refused(UNSUPPORTED_GRANT_TYPE, f"This gateway knows {GRANT_TYPE} alone.")
    return TokenRequest(client, _scope(form.get("scope")))


def _form(body: bytes) -> Mapping[str, str]:
    """Each parameter once; those without a value count as left out (RFC 6749, 3.2)."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=MOST_FIELDS,
            errors="strict",
            strict_parsing=bool(body),
        )
    except ValueError as error:  # UnicodeDecodeError is one
        raise bad_request("The form cannot be read.") from error
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise bad_request("A parameter is there twice.")
    return {name: value for name, value in pairs if value}


def _client(form: Mapping[str, str], authorization: Sequence[bytes]) -> Client:
    named, secret = form.get("client_id"), form.get("client_secret")
    if not authorization:
        if secret is None:
            raise unknown_client("no_credential", BASIC)
        if named is None:
            raise bad_request("client_id is missing: send the id of the key, or its consumer.")
        return Client(named, _bounded(secret.encode(), None), None)
    if len(authorization) > 1 or secret is not None:
        raise bad_request("Send one credential, in one place.")
    match = _AUTHORIZATION.fullmatch(authorization[0])
    if match is None:
        raise unknown_client("unreadable_authorization", BASIC)
    found = _basic(match[3]) if match[1] else Client(named, _bounded(match[3], BEARER), BEARER)
    if named is not None and found.id != named:
        raise bad_request("client_id is not that of the credential.")
    return found


def _basic(encoded: bytes) -> Client:
    """RFC 6749, 2.3.1: both parts are form-encoded before they are joined."""
    try:
        name, separator, secret = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
        name, secret = unquote_plus(name, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, ValueError) as error:
        raise unknown_client("unreadable_basic", BASIC) from error
    if not separator or not name:
        raise unknown_client("unreadable_basic", BASIC)
    return Client(name, _bounded(secret.encode(), BASIC), BASIC)


def _bounded(secret: bytes, scheme: str | None) -> bytes:
    if len(secret) > LONGEST_CREDENTIAL:
        raise unknown_client("too_long", scheme)
    return secret


def _scope(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    if not _SCOPE.fullmatch(text):
        raise Refused("invalid_scope", "The scope cannot be read: write words with one space between them.")
    return frozenset(text.split(" "))
