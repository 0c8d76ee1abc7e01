"""Certificates and private keys as PEM text: whether TLS can use them, said without showing what they hold."""

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from control_plane.config.values.base import Mistake

CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"
PRIVATE_KEY: Final = "PRIVATE KEY-----"
CERTIFICATE_CURE: Final = "write file:/path/to/file.pem with -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
KEY_CURE: Final = "write file:/path/to/file.pem with -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----"
NEW_KEY_CURE: Final = "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
# What Envoy's TLS library signs with: shorter RSA keys and other curves it refuses.
SHORTEST_RSA: Final = 2048
CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def certificates(text: str) -> tuple[x509.Certificate, ...]:
    """All certificates of the text, at least one; whatever else it holds is a mistake."""
    if PRIVATE_KEY in text:
        raise Mistake("a private key stands among the certificates", "keep it in a file of its own: `private_key`")
    if CERTIFICATE not in text:
        raise Mistake("there is no certificate", CERTIFICATE_CURE)
    try:
        return tuple(x509.load_pem_x509_certificates(text.encode()))
    except ValueError:
        raise Mistake("a certificate cannot be read", CERTIFICATE_CURE) from None


def authorities(text: str) -> tuple[x509.Certificate, ...]:
    """Certificates that may sign others, or themselves."""
    found = certificates(text)
    for number, certificate in enumerate(found, start=1):
        if not _signs(certificate):
            message = f"certificate {number} of {len(found)} is no authority, and signs no other"
            raise Mistake(message, "write the certificate of the authority that issued it")
    return found


def private_key(text: str) -> PrivateKeyTypes:
    """The one private key of the text, which must not be encrypted."""
    if text.count("-----BEGIN ") != 1 or PRIVATE_KEY not in text:
        raise Mistake("this is not one private key", KEY_CURE)
    if "ENCRYPTED" in text:
        raise Mistake("the private key is encrypted", "decrypt it: `openssl pkey -in ENCRYPTED -out PLAIN`")
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except ValueError:
        raise Mistake("the private key cannot be read", KEY_CURE) from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < SHORTEST_RSA:
        raise Mistake(f"the RSA key is shorter than {SHORTEST_RSA} bits", NEW_KEY_CURE)
    if not isinstance(key, rsa.RSAPrivateKey) and not _on_a_known_curve(key):
        raise Mistake("the private key is of a kind that Envoy does not use", NEW_KEY_CURE)
    return key


def belong_together(chain: str, key: str) -> bool:
    """Whether the chain's first certificate is that of the private key; both can be read."""
    return _public_bytes(certificates(chain)[0].public_key()) == _public_bytes(private_key(key).public_key())


def _signs(certificate: x509.Certificate) -> bool:
    if certificate.subject == certificate.issuer:
        return True
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _on_a_known_curve(key: PrivateKeyTypes) -> bool:
    return isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, CURVES)


def _public_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
