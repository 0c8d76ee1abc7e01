"""Which PEM texts are certificates and keys that TLS can use."""

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import TypeAdapter, ValidationError

from control_plane.config.model.secrets import Authorities
from control_plane.config.values.base import Mistake
from control_plane.config.values.pem import authorities, belong_together, certificates, private_key
from tests.support.certificates import Authority

AUTHORITY = Authority()
LEAF, KEY = AUTHORITY.issue("localhost")


def as_pem(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def test_a_chain_is_read_whole_and_whatever_stands_around_it_is_none_of_it() -> None:
    assert len(certificates(f"subject: leaf\n{LEAF}\nissuer:\n{AUTHORITY.pem}")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "there is no certificate", id="nothing"),
        pytest.param(KEY, "a private key stands among the certificates", id="a key"),
        pytest.param(LEAF + KEY, "a private key stands among the certificates", id="both"),
        pytest.param(LEAF.replace("M", "", 1), "a certificate cannot be read", id="broken"),
    ],
)
def test_what_is_no_chain_of_certificates(text, message) -> None:
    with pytest.raises(Mistake) as caught:
        certificates(text)

    assert (caught.value.message, caught.value.value) == (message, None)


def test_a_large_bundle_is_judged_as_fast_as_a_small_one() -> None:
    """Taken or refused, at once: while a configuration is judged, nothing else of the control plane runs."""
    bundle = TypeAdapter(Authorities)

    whole = f"# a bundle with comments\n{AUTHORITY.pem * 100}# its end\n"
    assert bundle.validate_python(whole).get_secret_value() == whole
    with pytest.raises(ValidationError, match="this is no PEM text"):
        bundle.validate_python((AUTHORITY.pem * 100).replace("-----END", "----END"))


def test_an_authority_signs_others_or_itself() -> None:
    assert len(authorities(AUTHORITY.pem * 2)) == 2
    with pytest.raises(Mistake, match="certificate 2 of 2 is no authority"):
        authorities(AUTHORITY.pem + LEAF)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(KEY, id="P-256"),
        pytest.param(as_pem(ec.generate_private_key(ec.SECP384R1())), id="P-384 in its old form"),
        pytest.param(as_pem(rsa.generate_private_key(65537, 2048)), id="RSA in its old form"),
    ],
)
def test_keys_that_are_used(key) -> None:
    private_key(key)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        pytest.param("", "this is not one private key", id="nothing"),
        pytest.param(KEY * 2, "this is not one private key", id="two"),
        pytest.param(LEAF, "this is not one private key", id="a certificate"),
        pytest.param(KEY.replace("M", "", 1), "the private key cannot be read", id="broken"),
        pytest.param(
            as_pem(rsa.generate_private_key(65537, 1024)), "the RSA key is shorter than 2048 bits", id="short"
        ),
        pytest.param(as_pem(ec.generate_private_key(ec.SECP256K1())), "of a kind that Envoy does not use", id="curve"),
        pytest.param(as_pem(dsa.generate_private_key(2048)), "of a kind that Envoy does not use", id="DSA"),
    ],
)
def test_keys_that_are_not(key, message) -> None:
    with pytest.raises(Mistake) as caught:
        private_key(key)

    assert message in caught.value.message
    assert caught.value.value is None


def test_the_first_certificate_is_that_of_the_key() -> None:
    assert belong_together(LEAF + AUTHORITY.pem, KEY)
    assert not belong_together(AUTHORITY.pem + LEAF, KEY)
