import os

import pytest

from control_plane.keys.signing.sealed import CannotUnseal, sealed, unsealed
from service_kit.gateway_tokens import drawn_signing_key

PEPPER = b"a pepper of thirty-two bytes, or more"
RING = tuple(drawn_signing_key(at, os.urandom) for at in (1_700_000_000, 1_700_086_400))


def test_what_was_sealed_is_read_under_the_same_pepper_alone():
    kept = sealed(RING, PEPPER, os.urandom)

    assert unsealed(kept, PEPPER) == RING
    with pytest.raises(CannotUnseal):
        unsealed(kept, PEPPER[:-1] + b"!")


def test_a_copy_of_it_says_nothing():
    kept = sealed(RING, PEPPER, os.urandom)

    assert not any(key.number in kept or key.number.hex().encode() in kept for key in RING)
    assert sealed(RING, PEPPER, os.urandom) != kept


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 200], ids=["nothing", "short", "other"])
def test_damage_is_noticed(damage):
    with pytest.raises(CannotUnseal):
        unsealed(damage, PEPPER)


def test_a_changed_byte_is_noticed():
    kept = bytearray(sealed(RING, PEPPER, os.urandom))
    kept[20] ^= 1

    with pytest.raises(CannotUnseal):
        unsealed(bytes(kept), PEPPER)
