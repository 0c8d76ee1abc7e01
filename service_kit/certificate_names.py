"""The alternative names of a certificate as they are in it, whole: other readers end them at a NUL, or join them."""

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

# What reading a certificate that somebody else made may raise.
UNREADABLE: Final = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


def alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    """Its names by kind, none where it has no such extension; one of UNREADABLE where they cannot be read."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
