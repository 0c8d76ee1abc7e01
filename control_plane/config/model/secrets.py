"""Secrets: what makes one good enough.

A value `file:PATH` is the content of a mounted file, whose changes are followed.
"""

import re
from typing import Annotated, Final

import re2
from pydantic import AfterValidator, SecretStr

from control_plane.config.values import pem
from control_plane.config.values.base import Mistake
from control_plane.config.values.text import HEADER_VALUE_PATTERN
from service_kit.verification_keys import SHORTEST_SECRET

SMALLEST_TOKEN: Final = 16
LARGEST_TOKEN: Final = 4096  # the authorizer looks at 8192 bytes
# RFC 6750, section 2.1: what may follow `Bearer`; a comma would join two credentials.
BEARER_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
SECRET_CURE: Final = "make one with `openssl rand -hex 32`"  # noqa: S105 - advice, not a secret
# RFC 7468: what stands around the base64 of a certificate or key; bundles have comments between them. In RE2, because a
# body may hold what stands between two of them: `re` would try every way to cut a bundle.
PEM: Final = re2.compile(r"-----BEGIN [A-Z0-9 ]+-----\s[A-Za-z0-9+/=\s:,-]+?-----END [A-Z0-9 ]+-----")


def _bearer_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if len(text.encode()) < SMALLEST_TOKEN:
        raise Mistake(f"the token is shorter than {SMALLEST_TOKEN} bytes", SECRET_CURE)
    if len(text) > LARGEST_TOKEN:
        raise Mistake(f"the token is longer than {LARGEST_TOKEN} bytes", SECRET_CURE)
    if not BEARER_TOKEN.fullmatch(text):
        cure = f"{SECRET_CURE}; a variable is ${{NAME}}, a file `file:PATH`"
        raise Mistake("the token holds characters that a bearer token cannot have", cure)
    if text.count(".") == 2:  # noqa: PLR2004 - the dots of header.payload.signature
        raise Mistake("the token has two dots, and would be taken for a JWT", SECRET_CURE)
    return secret


def _admin_secret(secret: SecretStr) -> SecretStr:
    return _bearer_secret(secret) if secret.get_secret_value() else secret


def _hmac_secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < SHORTEST_SECRET:
        raise Mistake(f"the secret is shorter than {SHORTEST_SECRET} bytes", SECRET_CURE)
    return secret


def _header_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text or text != text.strip() or not re.fullmatch(HEADER_VALUE_PATTERN, text):
        raise Mistake("the value cannot stand in a header", "write visible ASCII characters, spaces only between them")
    return secret


def _pem(secret: SecretStr) -> SecretStr:
    if not PEM.search(secret.get_secret_value()):
        cure = "write file:/path/to/file.pem, or the text from -----BEGIN to -----END"
        raise Mistake("this is no PEM text", cure)
    return secret


def _certificate_chain(secret: SecretStr) -> SecretStr:
    pem.certificates(secret.get_secret_value())
    return secret


def _authorities(secret: SecretStr) -> SecretStr:
    pem.authorities(secret.get_secret_value())
    return secret


def _private_key(secret: SecretStr) -> SecretStr:
    pem.private_key(secret.get_secret_value())
    return secret


def check_pair(certificate: SecretStr, private_key: SecretStr) -> None:
    """A certificate that is not the key's is a mistake at `private_key`."""
    if not pem.belong_together(certificate.get_secret_value(), private_key.get_secret_value()):
        cure = "write the key that the certificate was made with; the certificate of its owner stands first"
        raise Mistake("the private key does not belong to the certificate", cure, at=("private_key",))


BearerSecret = Annotated[SecretStr, AfterValidator(_bearer_secret)]
AdminSecret = Annotated[SecretStr, AfterValidator(_admin_secret)]
HmacSecret = Annotated[SecretStr, AfterValidator(_hmac_secret)]
HeaderSecret = Annotated[SecretStr, AfterValidator(_header_secret)]
# Certificates are no secrets, but are written and followed like them.
Pem = Annotated[SecretStr, AfterValidator(_pem)]
CertificateChain = Annotated[Pem, AfterValidator(_certificate_chain)]
Authorities = Annotated[Pem, AfterValidator(_authorities)]
PrivateKey = Annotated[Pem, AfterValidator(_private_key)]
